"""The metrics of a run for TensorBoard (``toktrain --tensorboard DIR``)."""

from pathlib import Path
from typing import Any

from midigen.errors import MidigenError


class Scalars:
    """Writes event files that `tensorboard --logdir` shows. Steps are those of training."""

    def __init__(self, folder: Path) -> None:
        """Raises MidigenError where the package tensorboard is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MidigenError(
                "--tensorboard needs the package tensorboard: pip install 'midigen[tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, line: dict[str, Any]) -> None:
        """Take up a line of metrics.jsonl."""
        step = line.get("step", 0)
        for name, value in _scalars(line):
            self._writer.add_scalar(name, value, step)
        if line["event"] != "train":
            self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _scalars(line: dict[str, Any]) -> list[tuple[str, float]]:
    if line["event"] == "train":
        found = {
            "loss/train": line["loss"],
            "learning_rate": line["lr"],
            "gradient_norm": line["grad_norm"],
            "tokens_per_s": line["tokens_per_s"],
        }
    elif line["event"] == "eval":
        found = {f"{key}/val": line["val"].get(key) for key in ("loss", "loss_note", "loss_bar")}
    else:
        found = {
            f"{key}/{name}_final": line[name].get(key)
            for name in ("val", "test")
            for key in ("loss", "loss_note")
        }
    return [(name, value) for name, value in found.items() if value is not None]
