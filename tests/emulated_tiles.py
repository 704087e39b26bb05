"""Sampling's step as it is built for AMX, its tiles in plain C: so it runs where AMX does not."""

import ctypes
import shutil
import subprocess
import tomllib
from pathlib import Path

from midigen_llama import native

ROOT = Path(__file__).parents[1]
STEP = "plugins/midigen_llama/native/step.c"
SETUP = "midigen/layers/native/setup.h"
INSTEAD = {
    '__asm__ volatile("ldtilecfg %0" ::"m"(*tiles));': (
        "memcpy(emulated.rows, tiles->rows, sizeof emulated.rows);"
    ),
    '__asm__ volatile("sttilecfg %0" : "=m"(*before));': "before->palette = 0;",
}
"""How a thread sets its tiles up here. (That the processor has any, step.c is not asked.)"""


def build(folder: Path) -> ctypes.CDLL:
    """Build the library in a folder, and load it."""
    for path in ("midigen/layers/native", "plugins/midigen_llama/native"):
        shutil.copytree(ROOT / path, folder / path)
    text = (folder / SETUP).read_text()
    for before, after in INSTEAD.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / SETUP).write_text(text)
    modules = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (amx,) = (
        module
        for module in modules["tool"]["setuptools"]["ext-modules"]
        if module["name"] == "midigen_llama._step_amx"
    )
    library = folder / "_step_amx.so"
    header = Path(__file__).with_suffix(".h")
    how = [*amx["extra-compile-args"], "-O2", "-fPIC", "-shared", "-include", str(header)]
    subprocess.run(["cc", *how, str(folder / STEP), "-o", str(library)], check=True)
    found = ctypes.CDLL(str(library))
    plain = native.library()
    assert plain is not None
    found.midigen_step.argtypes = plain.midigen_step.argtypes
    return found
