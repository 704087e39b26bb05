"""Which model folder is meant: a path, a packaged checkpoint by name, or the starter weights."""

from pathlib import Path

from midigen.errors import MidigenError
from midigen.modelfolder import CONFIG
from midigen.protocols import Checkpoint
from midigen.registry import installed, load


def find(model: str | None) -> Path:
    """Return the folder of `model`: a path, else a checkpoint's name, None for the starter weights.

    Raises MidigenError where there is nothing of that kind.
    """
    if model is None:
        return _starter()
    path = Path(model)
    if path.exists() or model not in installed("checkpoints"):
        return path
    checkpoint: Checkpoint = load("checkpoints", model)()
    return checkpoint.path


def _starter() -> Path:
    """Return the first checkpoint, by name, that calls itself the starter and has its weights."""
    for name in installed("checkpoints"):
        checkpoint: Checkpoint = load("checkpoints", name)()
        if checkpoint.starter and (checkpoint.path / CONFIG).is_file():
            return checkpoint.path
    raise MidigenError("no starter weights are installed; -m DIR names a model folder")
