"""How far a run is, and the learning rate there: warm-up, then a cosine down to nothing."""

import math
from dataclasses import dataclass

_WARM = 0.03
"""Share of a run in which the rate rises."""
_MOST_WARM_STEPS = 300


@dataclass(frozen=True, slots=True)
class Schedule:
    """steps: the run's length, or None where `seconds` is it."""

    peak: float
    steps: int | None
    seconds: float | None = None

    def progress(self, step: int, elapsed: float) -> float:
        """Return the share of the run, 0..1, that is done after so many steps and seconds."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.seconds is not None
        return min(1.0, elapsed / self.seconds)

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate of the step that follows `step` steps."""
        warm = self.steps * _WARM if self.steps is not None else math.inf
        by_steps = (step + 1) / max(1.0, min(_MOST_WARM_STEPS, warm))
        rise = min(1.0, by_steps if self.steps is not None else max(by_steps, progress / _WARM))
        return self.peak * rise * 0.5 * (1 + math.cos(math.pi * progress))


def default_rate(parameters: int) -> float:
    """Return a peak rate for AdamW that suits a model of so many parameters."""
    for limit, rate in ((10e6, 1e-3), (50e6, 6e-4), (200e6, 3e-4)):
        if parameters <= limit:
            return rate
    return 2e-4
