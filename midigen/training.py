"""A training run from its stream to the finished model folder."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from midigen import checkpointing, devices, metrics, modelfolder
from midigen.errors import MidigenError
from midigen.finishing import finish
from midigen.forecast import describe
from midigen.initial import read_initial
from midigen.interrupt import Interrupt
from midigen.memory import settle
from midigen.opening import open_folder, open_store, prepare_run
from midigen.optimizer import Optimizer, compute_dtype
from midigen.preparation import Prepared, prepare
from midigen.ranks import Ranks, join
from midigen.request import Mute, Request, Teller
from midigen.runfolder import RunFolder
from midigen.scalars import Scalars
from midigen.settings import Settings
from midigen.trainer import Ending, Trainer

if TYPE_CHECKING:
    import torch


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
    found = open_folder(request, teller) if ranks.is_first else None
    folder, settings = cast("tuple[RunFolder, Settings]", ranks.share(found))
    try:
        prepared = prepare_run(request, settings, folder, ranks)
    except BaseException:
        if ranks.is_first and not checkpointing.exists(folder.state):
            folder.drop()
        raise
    _announce(prepared, device, teller)
    if ranks.is_first:
        settings.save(folder.settings)
    resume = checkpointing.exists(folder.state)
    ranks.wait()
    trainer = _trainer(prepared, folder, device, ranks, request.tensorboard, resume=resume)
    ending = _run(trainer, teller, longer="unit" in request.asked)
    if ending == "done" and trainer.schedule.cut_short(trainer.progress.elapsed):
        teller.message(
            f"ended before its time, after {trainer.schedule.most:,} steps: more would learn so few"
            " pieces by heart; --most-epochs allows it"
        )
    if ending == "stopped":
        teller.warn(
            f"stopped at step {trainer.progress.step}, saved in {folder.work};"
            f" go on with: toktrain --resume -o {folder.out}"
        )
        return 130
    ranks.wait()
    if ranks.is_first:
        finish(request, prepared, trainer, folder, ending, teller)
    ranks.wait()
    return 0


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
    if prepared.seen:
        teller.warn(
            f"{prepared.seen:,} of the held-out pieces are training pieces by the split of the"
            " model that this run goes on from: if it was trained on them, losses are too low"
        )


def _trainer(
    prepared: Prepared,
    folder: RunFolder,
    device: str,
    ranks: Ranks,
    tensorboard: Path | None,
    *,
    resume: bool,
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
    scalars = Scalars(tensorboard) if tensorboard is not None and ranks.is_first else None
    lines = metrics.Metrics(path, sys.stdout, table=sys.stdout.isatty(), scalars=scalars)
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
        prepared.corpus.distinct_tokens if prepared.rises else 0,
    )
    if resume:
        trainer.restore()
    else:
        # Models with dropout draw from torch's own generator; its state is saved with the run.
        torch.manual_seed(settings.seed)
    return trainer


def _optimizer(prepared: Prepared, device: str, dtype: "torch.dtype", ranks: Ranks) -> Optimizer:
    if device == "cpu":
        settle()
    if not prepared.settings.lora:
        return Optimizer(prepared.model, device, dtype, prepared.settings, ranks)
    from midigen.lora import LoraOptimizer

    # Ids that were added have rows that nobody has trained.
    tables = bool(prepared.vocab.added) or prepared.settings.infill_rate > 0
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
        store = open_store(request, place, initial)
        read_s = time.monotonic() - start
        prepared = prepare(store, settings, place / "merged", initial)
        found = describe(prepared, device, read_s)
    for key, value in found.items() if sys.stdout.isatty() else ():
        sys.stdout.write(f"{key:>16}  {value}\n")
    if not sys.stdout.isatty():
        sys.stdout.write(json.dumps(found) + "\n")
    return 0
