"""Where a run ends: the last losses, the card, the curves, and the folder's name."""

from typing import Any

from midigen import metrics, modelfolder
from midigen.card import write_card
from midigen.curves import plot
from midigen.exports import write_exports
from midigen.preparation import Prepared
from midigen.request import Request, Teller
from midigen.runfolder import RunFolder
from midigen.trainer import Ending, Trainer

_ENDINGS = {
    "done": "the run was complete",
    "early": "validation had stopped to gain",
}


def finish(
    request: Request,
    prepared: Prepared,
    trainer: Trainer,
    folder: RunFolder,
    ending: Ending,
    teller: Teller,
) -> None:
    """Score the best weights on all held-out pieces, write card and curves, name the folder."""
    settings, progress = prepared.settings, trainer.progress
    device = trainer.optimizer.device
    # The weights as they are stored, computed as in training.
    best = modelfolder.load(folder.work, device, next(trainer.optimizer.compute.parameters()).dtype)
    final: dict[str, Any] = {"event": "final", "step": progress.best_step}
    for name in ("val", "test"):
        held_out = prepared.held_out(name)
        with teller.progress(total=held_out.count, unit=f"{name} piece") as bar:
            final[name] = held_out.score(best.model, settings.window, device, bar).to_json()
    if prepared.leaks:
        final["near_duplicates"] = [leak.to_json() for leak in prepared.leaks]
    trainer.metrics.write(final)
    trainer.metrics.close()
    run = {
        "parameters": prepared.parameters,
        "steps": progress.step,
        "tokens": progress.tokens,
        "minutes": progress.elapsed / 60,
        "device": device,
        "ending": _ENDINGS[ending],
        "best_step": progress.best_step,
        "command": request.command,
    }
    card = write_card(
        folder.out.name, prepared.corpus, prepared.vocab, settings, run, final, request.about
    )
    (folder.work / "README.md").write_text(card, encoding="utf-8")
    plot(metrics.read(folder.metrics), folder.work / "curves.png")
    write_exports(folder.work, prepared.vocab)
    if not request.keep_state:
        folder.drop_state()
    folder.finish(request.force or request.resume)
    teller.message(
        f"{folder.out}: {progress.step:,} steps in {progress.elapsed / 60:.1f} minutes,"
        f" validation {final['val']['loss']:.4f} nats a token; {_ENDINGS[ending]}"
    )
