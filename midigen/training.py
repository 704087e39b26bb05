"""A training run from its stream to the finished model folder."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from midigen import checkpointing, devices, metrics, modelfolder
from midigen.card import write_card
from midigen.curves import plot
from midigen.errors import MidigenError, UsageError
from midigen.exports import write_exports
from midigen.forecast import describe
from midigen.initial import read_initial
from midigen.interrupt import Interrupt
from midigen.optimizer import Optimizer, compute_dtype
from midigen.preparation import Prepared, model_config, prepare
from midigen.ranks import Ranks, join
from midigen.recipes import Recipe
from midigen.runfolder import RunFolder, free_name, last_unfinished
from midigen.settings import DEFAULT_MINUTES, Settings
from midigen.spool import Source, check_disk, check_same, clear, is_sealed, spool
from midigen.store import Store
from midigen.trainer import Ending, Trainer

if TYPE_CHECKING:
    import torch

_ENDINGS = {
    "done": "the run was complete",
    "early": "validation had stopped to gain",
}


class Teller(Protocol):
    """Where a run speaks: the command's `Run`."""

    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, items: None = None, *, total: int | None = None, unit: str = "") -> Any: ...


@dataclass(slots=True)
class Request:
    """What the user asked for.

    asked: the settings that were given, by name. source: the stream, or None to read none.
    store: a folder for the token store, or None for the run's own. about: words for the card.
    init: the model folder that a new run goes on from. recipe: names the stream's tokenizer.
    shard: split the weights between the processes that torchrun has started.
    """

    asked: dict[str, Any]
    source: Source | None
    paths: list[str]
    out: Path | None = None
    store: Path | None = None
    resume: bool = False
    force: bool = False
    device: str = "auto"
    about: str = ""
    command: str = ""
    keep_state: bool = True
    dry: bool = False
    shard: bool = False
    init: Path | None = None
    recipe: Recipe | None = None


class Mute:
    """A teller that says nothing: all processes but the first have one."""

    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, items: None = None, *, total: int | None = None, unit: str = "") -> Any:
        from tqdm import tqdm

        return tqdm(total=total, disable=True)


def train(request: Request, teller: Teller) -> int:
    """Run, and return the exit code: 0, or 130 where the user stopped it."""
    device = devices.pick(request.device)
    if request.dry:
        return _dry_run(request, teller, device)
    ranks, device = join(device, shard=request.shard)
    try:
        return _train(request, teller if ranks.is_first else Mute(), ranks, device)
    finally:
        ranks.close()


def _train(request: Request, teller: Teller, ranks: Ranks, device: str) -> int:
    found = _open_folder(request, teller) if ranks.is_first else None
    folder, settings = cast("tuple[RunFolder, Settings]", ranks.share(found))
    try:
        prepared = _prepare(request, settings, folder, ranks)
    except BaseException:
        if ranks.is_first and not checkpointing.exists(folder.state):
            folder.drop()
        raise
    _announce(prepared, device, teller)
    if ranks.is_first:
        settings.save(folder.settings)
    resume = checkpointing.exists(folder.state)
    ranks.wait()
    trainer = _trainer(prepared, folder, device, ranks, resume=resume)
    ending = _run(trainer, teller, longer="unit" in request.asked)
    if ending == "stopped":
        teller.warn(
            f"stopped at step {trainer.progress.step}, saved in {folder.work};"
            f" go on with: toktrain --resume -o {folder.out}"
        )
        return 130
    ranks.wait()
    if ranks.is_first:
        _finish(request, prepared, trainer, folder, ending, teller)
    ranks.wait()
    return 0


def _prepare(request: Request, settings: Settings, folder: RunFolder, ranks: Ranks) -> Prepared:
    """Return what a run needs. The first process reads and writes it, the others find it there."""
    merged = folder.state / "merged"
    if (folder.work / modelfolder.VOCAB).is_file():
        # A run that goes on has a copy of a learned vocabulary.
        modelfolder.read_vocab(folder.work)
    initial = read_initial(request.init) if request.init and not request.resume else None
    if ranks.is_first:
        store = _open_store(request, folder.state)
        if request.recipe is not None:
            request.recipe.check(store.tok)
        prepared = prepare(store, settings, merged, initial)
    ranks.wait()
    if not ranks.is_first:
        store = Store(_store_place(request, folder.state))
        prepared = prepare(store, settings, merged, initial)
    return prepared


def _open_folder(request: Request, teller: Teller) -> tuple[RunFolder, Settings]:
    if request.out is not None and not request.out.name:
        raise UsageError(f"-o {request.out} names no folder that can be made")
    if request.resume and request.init is not None:
        raise UsageError("--resume goes on with its own weights: no --init-from")
    if not request.resume:
        settings = Settings(**request.asked)
        if settings.lora and request.init is None:
            raise UsageError("--lora tunes a model that is there: --init-from names it")
        if request.init is not None:
            settings = read_initial(request.init).adopt(settings, request.asked)
        model_config(settings)
        folder = RunFolder(request.out or free_name())
        folder.begin(request.force)
        if request.out is None:
            teller.warn(f"no -o: the model goes to {folder.out}")
        if "unit" not in request.asked:
            teller.message(
                f"no --steps, --epochs or --minutes: {DEFAULT_MINUTES:g} minutes, less if"
                " validation stops to gain"
            )
        return folder, settings
    folder = RunFolder(request.out or last_unfinished())
    held = folder.held()
    settings = Settings.read(held / folder.settings.name).resumed(request.asked)
    if held != folder.state and "unit" not in request.asked:
        raise UsageError(
            f"{folder.out} is trained to its end, step {checkpointing.read_progress(held).step};"
            " say how far to go on: --steps, --epochs or --minutes"
        )
    folder.reopen()
    return folder, settings


def _open_store(request: Request, state: Path) -> Store:
    """Return the sealed store: read from the stream, or there already."""
    place = _store_place(request, state)
    if is_sealed(place):
        store = Store(place)
        if request.source is not None:
            check_same(request.source, store)
    elif request.source is None:
        raise MidigenError(f"{place} holds no sealed token store, and no stream was given")
    else:
        clear(place)
        check_disk(request.paths, place)
        try:
            store = spool(request.source, place)
        except BaseException:
            clear(place)
            raise
    if request.store is not None:
        modelfolder.write_json(state / "store.json", {"store": str(place.resolve())})
    return store


def _store_place(request: Request, state: Path) -> Path:
    """Return the folder of the token store; a run that goes on remembers its own."""
    note = state / "store.json"
    if request.store is None and note.is_file():
        return Path(json.loads(note.read_text())["store"])
    return request.store or state / "store"


def _announce(prepared: Prepared, device: str, teller: Teller) -> None:
    corpus = prepared.corpus
    copies = int(corpus.store.rows["copy"][corpus.train.row].sum())
    teller.message(
        f"{len(corpus.train):,} pieces to train on ({copies:,} copies; "
        f"{corpus.train.tokens:,} tokens), {len(corpus.val):,} to validate, "
        f"{len(corpus.test):,} to test; {prepared.plugin} of {prepared.parameters:,} parameters,"
        f" {len(prepared.vocab):,} ids, on {device}"
    )
    for name in ("val", "test"):
        near = [leak for leak in prepared.leaks if leak.split == name]
        if near:
            teller.warn(
                f"{len(near):,} {name} pieces share half of their passages or more with a training"
                " piece; losses are given with and without them"
            )


def _trainer(
    prepared: Prepared, folder: RunFolder, device: str, ranks: Ranks, *, resume: bool
) -> Trainer:
    import torch

    settings = prepared.settings
    dtype = compute_dtype(device, settings.dtype)
    optimizer = _optimizer(prepared, device, dtype, ranks)

    def save_best() -> None:
        weights = optimizer.weights()
        if not ranks.is_first:
            return
        modelfolder.save(
            folder.work,
            weights,
            plugin=prepared.plugin,
            model_config=prepared.model_config,
            vocab=prepared.vocab,
            split_rule=prepared.corpus.rule,
            window=settings.window,
            dtype=settings.save_dtype,
        )

    if resume and ranks.is_first:
        step = checkpointing.read_progress(folder.state).step
        metrics.rewind(folder.metrics, step)
    path = folder.metrics if ranks.is_first else None
    lines = metrics.Metrics(path, sys.stdout, table=sys.stdout.isatty())
    val = prepared.held_out("val", settings.eval_tokens)
    trainer = Trainer(
        optimizer,
        prepared.windows,
        val,
        settings,
        prepared.schedule,
        folder.state,
        lines,
        save_best,
    )
    if resume:
        trainer.restore()
    else:
        # Models with dropout draw from torch's own generator; its state is saved with the run.
        torch.manual_seed(settings.seed)
    return trainer


def _optimizer(prepared: Prepared, device: str, dtype: "torch.dtype", ranks: Ranks) -> Optimizer:
    if not prepared.settings.lora:
        return Optimizer(prepared.model, device, dtype, prepared.settings, ranks)
    from midigen.lora import LoraOptimizer

    # Conditions that were added have rows that nobody has trained.
    tables = bool(prepared.vocab.added)
    return LoraOptimizer(prepared.model, device, dtype, prepared.settings, ranks, tables=tables)


def _run(trainer: Trainer, teller: Teller, *, longer: bool) -> Ending:
    """Train on. A run that had ended, and is not to be longer, only lacked its last words.

    Raises MidigenError, saying what is saved, where nothing can be written any more.
    """
    from safetensors import SafetensorError

    if trainer.progress.finished and not longer:
        return trainer.ending()
    trainer.reopen()
    interrupt = Interrupt()
    total = trainer.schedule.steps
    with interrupt.caught(), teller.progress(total=total, unit="step") as bar:
        bar.update(trainer.progress.step)
        try:
            return trainer.run(bar, lambda: interrupt.asked)
        except (OSError, SafetensorError) as error:
            raise _unwritable(trainer.folder, error) from error


def _unwritable(folder: Path, error: Exception) -> MidigenError:
    why = getattr(error, "strerror", None) or str(error)
    kept = "nothing of the run was saved yet"
    if checkpointing.exists(folder):
        step = checkpointing.read_progress(folder).step
        kept = f"step {step} is saved, and --resume goes on from there"
    return MidigenError(f"cannot write in {folder}: {why}; {kept}")


def _finish(
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


def _dry_run(request: Request, teller: Teller, device: str) -> int:
    """Read the stream into a temporary store and print what a run would do."""
    import tempfile

    settings = Settings(**request.asked)
    initial = read_initial(request.init) if request.init else None
    if initial is not None:
        settings = initial.adopt(settings, request.asked)
    with tempfile.TemporaryDirectory(prefix="toktrain-") as name:
        start = time.monotonic()
        place = Path(name)
        store = _open_store(request, place)
        read_s = time.monotonic() - start
        prepared = prepare(store, settings, place / "merged", initial)
        found = describe(prepared, device, read_s)
    for key, value in found.items() if sys.stdout.isatty() else ():
        sys.stdout.write(f"{key:>16}  {value}\n")
    if not sys.stdout.isatty():
        sys.stdout.write(json.dumps(found) + "\n")
    return 0
