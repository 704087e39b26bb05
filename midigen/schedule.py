"""How far a run is, and the learning rate and the windows there."""

import math
from dataclasses import dataclass

KINDS = ("cosine", "constant", "exponential", "plateau")
PARTS = (8, 4, 2)
"""Of a window that grows: how many it is cut into at first, and then."""
_MOST_WARM_STEPS = 300
"""A warm-up that is a share of the run is no longer than this."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """steps: the run's length, or None where `seconds` is it.

    kind: what follows the warm-up: ``cosine`` falls to `floor` at the run's end; ``constant``;
    ``exponential`` is multiplied by `factor` after every epoch, down to `floor`; ``plateau`` by
    `factor` whenever validation has stopped to gain, down to `floor`.
    warmup: below 1 a share of the run, else steps. steps_an_epoch: of the training data.
    growth: the share of the run over which windows double from an eighth to their full length, as
    in Li et al., arXiv 2108.06084: short ones teach faster, long ones more. most: steps after which
    a run of seconds is at its end, too; 0: as many as it does.
    """

    peak: float
    steps: int | None
    seconds: float | None = None
    kind: str = "cosine"
    warmup: float = 0.03
    floor: float = 0.0
    factor: float = 0.5
    steps_an_epoch: float = 1.0
    growth: float = 0.0
    most: int = 0

    def progress(self, step: int, elapsed: float) -> float:
        """Return the share of the run, 0..1, that is done after so many steps and seconds."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.seconds is not None
        return min(1.0, max(elapsed / self.seconds, step / self.most if self.most else 0.0))

    def cut_short(self, elapsed: float) -> bool:
        """Return whether a run that is at its end had seconds left."""
        return self.seconds is not None and elapsed < self.seconds

    def rate(self, step: int, progress: float, reductions: int = 0) -> float:
        """Return the learning rate of the step that follows `step` steps.

        reductions: how often a plateau was met.
        """
        return self._fallen(step, progress, reductions) * self._risen(step, progress)

    def parts(self, progress: float) -> int:
        """Return how many parts windows are cut into."""
        if progress >= self.growth:
            return 1
        return PARTS[int(progress / self.growth * len(PARTS))]

    def _risen(self, step: int, progress: float) -> float:
        """Return the warm-up's factor, 0..1."""
        if self.warmup >= 1:
            return min(1.0, (step + 1) / self.warmup)
        if self.steps is not None:
            warm = min(_MOST_WARM_STEPS, self.steps * self.warmup)
            return min(1.0, (step + 1) / max(1.0, warm))
        # Seconds may rush through a warm-up at one step each: steps, too, must have been enough.
        share = progress / self.warmup if self.warmup else 1.0
        return min(1.0, max((step + 1) / _MOST_WARM_STEPS, share))

    def _fallen(self, step: int, progress: float, reductions: int) -> float:
        """Return the rate without the warm-up."""
        if self.kind == "cosine":
            return self.floor + (self.peak - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))
        if self.kind == "constant":
            return self.peak
        times = int(step / self.steps_an_epoch) if self.kind == "exponential" else reductions
        return max(self.floor, self.peak * self.factor**times)


_RATES = {
    "muon": ((10e6, 5e-3), (50e6, 3e-3), (200e6, 2e-3), (math.inf, 1e-3)),
    "adamw": ((10e6, 1e-3), (50e6, 6e-4), (200e6, 3e-4), (math.inf, 2e-4)),
    "adamax": ((10e6, 2e-3), (50e6, 1e-3), (200e6, 6e-4), (math.inf, 4e-4)),
}
"""Peak rates by optimiser, for models of up to so many parameters."""


def default_rate(parameters: int, optimizer: str) -> float:
    """Return a peak rate that suits a model of so many parameters.

    Of 4.3 million parameters, steps of 4,096 tokens of POP909, weight decay 0.3: 1,294 steps of
    Muon reached 4.01 nats a note (validation) at 1e-2 and 3.85 at 5e-3; 7,764 steps 3.10 at 1e-2,
    3.13 at 5e-3 and 3.22 at 3e-3; AdamW 3.45 at 2e-3. Of 300 steps Muon learned most at 8e-3.
    """
    return next(rate for limit, rate in _RATES[optimizer] if parameters <= limit)


_EPOCHS = 1.2
"""Epochs over distinct pieces within which decay takes weights back to 1/e: see `default_decay`."""
_LEAST_DECAY, _MOST_DECAY = 0.1, 2.0


def default_decay(rate: float, batch: int, tokens: int) -> float:
    """Return a weight decay for Muon: the fewer the data, the stronger.

    rate: the peak. batch: tokens a step. tokens: of the distinct training pieces, without copies.
    Decay forgets in 1 / (rate x decay) steps, which should be a fixed share of an epoch (Wang and
    Aitchison, arXiv 2405.13698). Of 4.3 million parameters at 5e-3, copies in all keys, nats a note
    of the test pieces: 120 pieces of POP909 (370,000 tokens), 2,000 steps: 4.79 with 0.3, 3.30 with
    1, 2.80 with 2; all 724 (2.2 million), 2,500 steps: 2.33, 2.36 and 2.50.
    """
    decay = batch / (rate * _EPOCHS * max(1, tokens))
    return float(f"{min(_MOST_DECAY, max(_LEAST_DECAY, decay)):.2g}")


_LEAST_STEPS = 1000
"""Of 112 chorales (61,000 tokens) 1,000 steps reached 2.58 nats a note of others, 2,000 2.83."""
_COPIES = 4
"""How often more copies let a piece be read."""


def most_steps(epochs: float, batch: int, distinct: int, tokens: int) -> int:
    """Return after how many steps more of the same data would be learned by heart; 0: never.

    epochs: over the distinct pieces. batch: tokens a step. distinct, tokens: of the training pieces
    without copies, and with them: copies in other keys let a piece be read four times as often.
    """
    if not epochs:
        return 0
    read = epochs * min(distinct, tokens / _COPIES)
    return max(_LEAST_STEPS, round(read / batch))


_MOST_DROPOUT = 0.2


def risen_dropout(rise: float, epochs: float, step: float = 0.01) -> float:
    """Return the dropout after so many epochs over distinct pieces, in steps of `step`.

    What was seen often is learned by heart; dropout slows that down, and all learning with it, so
    it grows as pieces come again. (Late dropout: Liu et al., arXiv 2303.01500.) 0.005 an epoch
    makes 0.14 of an hour over POP909, where 0.1 all the time reached 2.04 nats a note, 0.05 2.09
    and none 2.19; of ten minutes 0.02, where 0.1 lost 0.06.
    """
    return min(_MOST_DROPOUT, int(rise * epochs / step + 1e-9) * step)
