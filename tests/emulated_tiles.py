"""Libraries for AMX with its tiles in plain C: so they run on processors that have all else."""

import ctypes
import shutil
import subprocess
import tomllib
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


def can_emulate() -> bool:
    """Return whether libraries can be built here, and run but for their tiles."""
    needed = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"}
    return cpu_flags() >= needed and shutil.which("cc") is not None


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
    # Sapphire Rapids has half floats, too, which others lack.
    how = [
        "-mno-avx512fp16",
        "-O2",
        "-fPIC",
        "-shared",
        "-include",
        Path(__file__).with_suffix(".h"),
    ]
    sources = [folder / path for path in module["sources"]]
    library = folder / f"{name.rpartition('.')[2]}.so"
    links = module.get("extra-link-args", [])
    command = ["cc", *module["extra-compile-args"], *how, *sources, "-o", library, *links]
    subprocess.run([str(part) for part in command], check=True)
    return ctypes.CDLL(str(library))
