"""Where a model computes: the CPU, a CUDA GPU, or Apple's MPS."""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from midigen.errors import MidigenError, UsageError

if TYPE_CHECKING:
    import torch

SMALL_STEP = 200_000_000
"""Weights x rows of a step that one thread computes best."""
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


def limit_threads(model: "torch.nn.Module", rows: int) -> None:
    """Let one CPU thread compute where a step is little work; OMP_NUM_THREADS comes first.

    A step is a hundred short operations, and threads wait for one another at each. On two busy
    cores 300 steps of 5 million weights took 39 s with two threads and 5 s with one. (The compiled
    step of `llama` has threads of its own, which wait awake; it limits them itself.)
    """
    import torch

    weights = sum(weight.numel() for weight in model.parameters())
    if weights * rows < SMALL_STEP and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


@cache
def cpu_flags() -> frozenset[str]:
    """Return what the processor can do, as Linux's /proc/cpuinfo says; elsewhere nothing."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return frozenset()
    return frozenset(info.read_text().partition("flags")[2].partition("\n")[0].split())
