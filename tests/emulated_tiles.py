"""Libraries for AMX with its tiles in plain C: so they run on processors that have all else."""

import ctypes
import os
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

from midigen.devices import cpu_flags

ROOT = Path(__file__).parents[1]
FOLDERS = ("midigen/layers/native", "plugins/midigen_llama/native")
SETUP = "midigen/layers/native/setup.h"
INSTEAD = {
    '__asm__ volatile("ldtilecfg %0" ::"m"(*tiles));': (
        "memcpy(emulated.rows, tiles->rows, sizeof emulated.rows);"
    ),
    '__asm__ volatile("sttilecfg %0" : "=m"(*before));': "before->palette = 0;",
    "return !syscall(SYS_arch_prctl, request, tile_data);": "return request != tile_data;",
}
"""How a thread sets its tiles up here, and whether it may."""


NEEDED = frozenset(
    {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"}
    | {"avx512vbmi", "avx512_vbmi2", "avx512ifma", "avx512_bitalg", "avx512_vpopcntdq"}
)
"""Flags of a processor: what a compiler may take when it builds for AMX, tiles left out."""
NO_HALF_FLOATS = "-mno-avx512fp16"


def can_emulate(name: str) -> bool:
    """Return whether a library was built when midigen was installed, and runs but for its tiles."""
    package, _, module = name.rpartition(".")
    folder = Path(str(import_module(package).__file__)).parent
    is_built = any(folder.glob(f"{module}.*"))
    return is_built and cpu_flags() >= NEEDED and shutil.which("cc") is not None


def takes(option: str) -> bool:
    """Return whether the compiler knows an option."""
    asked = ["cc", option, "-E", "-x", "c", os.devnull]
    return subprocess.run(asked, capture_output=True).returncode == 0


def build(name: str, folder: Path) -> ctypes.CDLL:
    """Build the library that pyproject.toml has under a name, in a folder, and load it."""
    for path in FOLDERS:
        shutil.copytree(ROOT / path, folder / path)
    text = (folder / SETUP).read_text()
    for before, after in INSTEAD.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / SETUP).write_text(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = project["tool"]["setuptools"]["ext-modules"]
    (module,) = (module for module in modules if module["name"] == name)
    how = ["-O2", "-fPIC", "-shared", "-include", Path(__file__).with_suffix(".h")]
    # Sapphire Rapids has them, which others lack; so has a compiler that knows of them.
    how += [NO_HALF_FLOATS] * takes(NO_HALF_FLOATS)
    sources = [folder / path for path in module["sources"]]
    library = folder / f"{name.rpartition('.')[2]}.so"
    links = module.get("extra-link-args", [])
    command = ["cc", *module["extra-compile-args"], *how, *sources, "-o", library, *links]
    subprocess.run([str(part) for part in command], check=True)
    return ctypes.CDLL(str(library))
