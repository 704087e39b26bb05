"""The state of a run on disk: one safetensors file, replaced whole, so it is never half new."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midigen.errors import MidigenError
from midigen.optimizer import Optimizer
from midigen.windows import Place

if TYPE_CHECKING:
    from torch import Tensor

FILE = "state.safetensors"


@dataclass(slots=True)
class Progress:
    """Where a run stands. elapsed: seconds of training. tokens: targets learned from.

    best: lowest validation loss, at step `best_step`. bad: validations since without gain; both in
    windows of a `best_parts`-th of their length, as longer ones do not compare.
    next_eval: the number of the next validation. low, flat, reductions: the loss that a plateau is
    measured from, validations at about that loss, plateaus met (`midigen.schedule`).
    """

    step: int = 0
    elapsed: float = 0.0
    tokens: int = 0
    place: Place = field(default_factory=Place)
    best: float | None = None
    best_step: int = 0
    best_parts: int = 1
    bad: int = 0
    next_eval: int = 1
    low: float | None = None
    flat: int = 0
    reductions: int = 0
    finished: bool = False

    def begin_windows(self, parts: int) -> None:
        """Forget the validations in windows of another length."""
        if parts != self.best_parts:
            self.best, self.best_parts, self.bad, self.low, self.flat = None, parts, 0, None, 0

    def watch(self, loss: float, patience: int) -> None:
        """Take note of a validation: more than `patience` without gain are a plateau.

        As `torch.optim.lr_scheduler.ReduceLROnPlateau`: a gain is 1/10,000 of the lowest.
        """
        if self.low is None or loss < self.low * (1 - 1e-4):
            self.low, self.flat = loss, 0
        else:
            self.flat += 1
        if self.flat > patience:
            self.reductions += 1
            self.flat = 0


def save(folder: Path, optimizer: Optimizer, progress: Progress) -> None:
    """Write weights, optimiser, generators and progress; of several processes the first writes."""
    import torch
    from safetensors.torch import save_file

    tensors = {name: t.to("cpu").contiguous() for name, t in optimizer.tensors().items()}
    if not optimizer.ranks.is_first:
        return
    tensors["generator/cpu"] = torch.get_rng_state()
    if optimizer.device.startswith("cuda"):
        tensors["generator/cuda"] = torch.cuda.get_rng_state(optimizer.device)
    part = folder / f"{FILE}.part"
    save_file(tensors, part, metadata={"progress": json.dumps(asdict(progress))})
    part.replace(folder / FILE)


def load(folder: Path, optimizer: Optimizer) -> Progress:
    """Take up what `save` wrote. Raises MidigenError if it does not fit the model."""
    import torch
    from safetensors import safe_open

    path = folder / FILE
    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        progress = read_progress(folder)
    torch.set_rng_state(tensors.pop("generator/cpu"))
    cuda = tensors.pop("generator/cuda", None)
    if cuda is not None and optimizer.device.startswith("cuda"):
        torch.cuda.set_rng_state(cuda, optimizer.device)
    try:
        optimizer.restore(tensors)
    except (KeyError, RuntimeError) as error:
        raise MidigenError(f"{path} is not of this model: {error}") from error
    return progress


def read_progress(folder: Path) -> Progress:
    """Return the progress that a state holds, without its tensors."""
    from safetensors import safe_open

    with safe_open(folder / FILE, "np") as file:
        data: dict[str, Any] = json.loads(file.metadata()["progress"])
    return Progress(**data | {"place": Place(*data["place"])})


def exists(folder: Path) -> bool:
    return (folder / FILE).is_file()
