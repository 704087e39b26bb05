"""The training loop: steps, validations, checkpoints, and an end for one of several reasons."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from midigen import checkpointing
from midigen.checkpointing import Progress
from midigen.errors import MidigenError
from midigen.heldout import HeldOut, Report
from midigen.metrics import Metrics
from midigen.optimizer import Optimizer
from midigen.prefetch import Prefetch
from midigen.schedule import Schedule, risen_dropout
from midigen.settings import Settings
from midigen.windows import Batch, Place, Windows

if TYPE_CHECKING:
    from torch import Tensor

Ending = Literal["done", "early", "stopped"]
_SAVE_EVERY_S = 300.0
_LINE_EVERY_S = 5.0
_EVAL_SHARE = 0.1
"""Of the time of a run that is given minutes, what validations on the way may take."""


class Trainer:
    """Trains until the schedule ends, validation stops to gain, or `stop` says so.

    save_best: called when validation has reached a new low. distinct: training tokens without those
    of copies, by which dropout rises; 0: it does not. The state goes to `folder`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        windows: Windows,
        val: HeldOut,
        settings: Settings,
        schedule: Schedule,
        folder: Path,
        metrics: Metrics,
        save_best: Callable[[], None],
        distinct: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self.windows = windows
        self.val = val
        self.settings = settings
        self.schedule = schedule
        self.folder = folder
        self.metrics = metrics
        self.save_best = save_best
        self.distinct = distinct
        self.progress = Progress()
        self.ranks = optimizer.ranks
        self._steps: list[tuple[Tensor, Tensor]] = []
        self._losses: list[float] = []
        self._last: Sequence[float] = (0.0, 0.0)
        self._since_line = 0
        self._line_at = self._saved_at = 0.0
        self._eval_s = 0.0
        self._parts = 1
        self._data: Prefetch[Batch] | None = None

    def run(self, bar: Any, stop: Callable[[], bool]) -> Ending:
        """Train. Raises MidigenError if the loss is no number any more."""
        try:
            return self._loop(bar, stop)
        finally:
            if self._data is not None:
                self._data.close()

    def _loop(self, bar: Any, stop: Callable[[], bool]) -> Ending:
        progress, ranks = self.progress, self.ranks
        started = time.monotonic() - progress.elapsed
        stopped: float = stop()
        while self._share() < 1.0:
            if stopped:
                self.save()
                return "stopped"
            share = self._share()
            batch = self._next_batch(self.schedule.parts(share))
            self._raise_dropout()
            rate = self.schedule.rate(progress.step, share, progress.reductions)
            self._steps.append(self.optimizer.step(batch, rate))
            progress.step += 1
            progress.tokens += batch.scored
            progress.place = batch.after
            # Processes go by the latest clock and by any that is stopped: all end at one step.
            progress.elapsed, stopped = ranks.most(time.monotonic() - started, stop())
            self._note(rate, batch, bar)
            if self._is_eval_due():
                began = time.monotonic()
                ends = self._evaluate()
                (took,) = ranks.most(time.monotonic() - began)
                self._eval_s += took
                self._line_at += took
                if ends:
                    return "early"
        progress.finished = True
        self.save()
        return "done"

    def _next_batch(self, parts: int) -> Batch:
        """Return the next batch in windows of a `parts`-th of the length."""
        if self._data is None or parts != self._parts:
            if self._data is not None:
                self._data.close()
            place = self.progress.place
            if place.parts != parts:
                place = Place(parts=parts)
            batches = self.windows.cut(parts).batches(self.settings.rows * parts, place)
            self._data, self._parts = Prefetch(batches, ahead=4), parts
        return next(self._data)

    def _raise_dropout(self) -> None:
        """Let dropout grow with the epochs, where the model brings none."""
        if self.distinct:
            epochs = self.progress.tokens / self.distinct
            # Compiled models are compiled anew for every other rate.
            step = 0.05 if self.settings.compile else 0.01
            rate = risen_dropout(self.settings.dropout_rise, epochs, step)
            self.optimizer.compute.dropout = rate  # type: ignore[assignment]

    @property
    def _window(self) -> int:
        """Of the last step."""
        return self.settings.window // self._parts

    def _share(self) -> float:
        return self.schedule.progress(self.progress.step, self.progress.elapsed)

    def _is_eval_due(self) -> bool:
        """Return whether to validate: so often as was asked, unless the clock forbids it.

        Runs that count steps look at no clock, so that they can be repeated.
        """
        share = self._share()
        if share < self.progress.next_eval / self.settings.evals:
            return False
        in_time = self._eval_s <= _EVAL_SHARE * self.progress.elapsed
        return in_time or share >= 1.0 or self.schedule.steps is not None

    def _read_steps(self) -> None:
        """Wait for the device and take up the losses of the steps behind.

        Raises MidigenError if one is no number: what was saved before stays.
        """
        import torch

        if not self._steps:
            return
        found = torch.stack([torch.stack(pair) for pair in self._steps]).tolist()
        first = self.progress.step - len(found) + 1
        for step, (loss, norm) in enumerate(found, first):
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise MidigenError(
                    f"the loss is not a number at step {step}; saved is step"
                    f" {self.progress.best_step} and before; a lower --lr may help"
                )
        self._losses += [loss for loss, _ in found]
        self._last = found[-1]
        self._steps = []

    def _note(self, rate: float, batch: Batch, bar: Any) -> None:
        """Tell how it goes: every few seconds a line, on a bar every step."""
        progress = self.progress
        self._since_line += batch.scored
        bar.update()
        now = progress.elapsed
        due = progress.step == 1 or self._share() >= 1.0
        if now - self._line_at >= _LINE_EVERY_S or due:
            self._read_steps()
            loss, norm = self._last
            speed = self._since_line / max(1e-9, now - self._line_at)
            self.metrics.write(
                {
                    "event": "train",
                    "step": progress.step,
                    "epoch": progress.place.epoch,
                    "tokens": progress.tokens,
                    "loss": round(loss, 5),
                    "lr": round(rate, 8),
                    "grad_norm": round(norm, 4),
                    "tokens_per_s": round(speed),
                    "seconds": round(now, 2),
                }
            )
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s", refresh=False)
            self._line_at, self._since_line = now, 0
        if now - self._saved_at >= _SAVE_EVERY_S:
            self.save()

    def _evaluate(self) -> bool:
        """Validate, keep what is best, save; return whether it has been going on for too long."""
        progress, settings = self.progress, self.settings
        self._read_steps()
        report = self.score(self.val)
        loss = report.all.nats / report.all.tokens
        progress.next_eval = int(self._share() * settings.evals + 1e-9) + 1
        progress.begin_windows(self._parts)
        if progress.best is None or loss < progress.best:
            progress.best, progress.best_step, progress.bad = loss, progress.step, 0
            self.save_best()
        else:
            progress.bad += 1
        progress.watch(loss, settings.plateau)
        recent = sum(self._losses) / len(self._losses) if self._losses else None
        line = {
            "event": "eval",
            "step": progress.step,
            "tokens": progress.tokens,
            "window": self._window,
            "train_loss": round(recent, 5) if recent is not None else None,
            "val": report.all.to_json(),
            "best": round(progress.best, 5),
            "seconds": round(progress.elapsed, 2),
        }
        self._losses = []
        self.metrics.write(line)
        early = self._parts == 1 and 0 < settings.patience <= progress.bad
        progress.finished = early
        self.save()
        return early

    def score(self, held_out: HeldOut) -> Report:
        """Return the losses of the model as it is now, in windows as it learns from now."""
        model = self.optimizer.compute.eval()
        return held_out.score(model, self._window, self.optimizer.device)

    def save(self) -> None:
        self._read_steps()
        checkpointing.save(self.folder, self.optimizer, self.progress)
        self._saved_at = self.progress.elapsed

    def restore(self) -> None:
        """Go on where the state in `folder` stands."""
        self.progress = checkpointing.load(self.folder, self.optimizer)
        self._line_at = self._saved_at = self.progress.elapsed

    def reopen(self) -> None:
        """Take a run up that may have ended, under a schedule that may have changed."""
        progress = self.progress
        if progress.finished:
            progress.finished, progress.bad = False, 0
            progress.next_eval = int(self._share() * self.settings.evals) + 1

    def ending(self) -> Ending:
        """Return how a finished run ended."""
        return "done" if self._share() >= 1.0 else "early"
