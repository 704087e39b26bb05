"""Where a model computes: the CPU, a CUDA GPU, or Apple's MPS."""

import re

from midigen.errors import MidigenError, UsageError

FORMS = "auto, cpu, cuda, cuda:N or mps"


def pick(name: str) -> str:
    """Return torch's name of a device; ``auto`` is a GPU where there is one.

    Raises UsageError for what is no device name, MidigenError for a device that is not there.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?|mps", name):
        raise UsageError(f"--device {name!r} is not one of {FORMS}")
    if name == "cpu":
        return name
    there = available()
    if name == "auto":
        return there[1] if len(there) > 1 else "cpu"
    if name in there or (name == "cuda" and "cuda:0" in there):
        return name
    raise MidigenError(f"no device {name!r} here; there are {', '.join(there)}")


def available() -> list[str]:
    """Return the devices that torch can use here: cpu first, then cuda:0 and on, then mps."""
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *gpus, *mps]
