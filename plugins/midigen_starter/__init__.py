"""The starter weights: what `toksample` plays without ``-m``."""

from pathlib import Path

from midigen.protocols import Checkpoint


def checkpoint() -> Checkpoint:
    """Return where the model folder of this package lies."""
    return Checkpoint(Path(__file__).parent / "weights", starter=True)
