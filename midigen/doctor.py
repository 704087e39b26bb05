"""What is installed, what of it works, and what a model knows."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Any

from midigen import __version__
from midigen.errors import MidigenError
from midigen.registry import GROUPS, installed, load

PACKAGES = ("torch", "miditok", "symusic", "numpy", "tokenizers", "safetensors", "typer")
SHOWN = 40
"""Most values of a condition that are shown."""


def list_plugins() -> list[dict[str, str | None]]:
    """Return group, name, version and origin of every plugin, without loading one."""
    return [
        {
            "group": f"midigen.{group}",
            "name": name,
            "version": point.dist.version if point.dist else None,
            "origin": _origin(point),
        }
        for group in GROUPS
        for name, point in installed(group).items()
    ]


def _origin(point: EntryPoint) -> str:
    package = f"{point.dist.name}: " if point.dist else ""
    return f"{package}{point.value}"


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield lines of columns under the names of the keys."""
    if not rows:
        return
    columns = [[key, *(str(row[key] or "-") for row in rows)] for key in rows[0]]
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield line.rstrip()


def examine() -> Iterator[tuple[str, bool]]:
    """Yield lines about this installation, and whether each names a fault."""
    yield f"midigen {__version__}, Python {platform.python_version()}, {platform.platform()}", False
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}", False
        except PackageNotFoundError:
            yield f"{package} is not installed", True
    yield from _devices()
    for group in GROUPS:
        for name in installed(group):
            yield _plugin(group, name)


def _devices() -> Iterator[tuple[str, bool]]:
    from midigen.devices import available

    try:
        import torch

        names = [torch.cuda.get_device_name(d) if "cuda" in d else "" for d in available()]
        shown = (f"{d} ({n})" if n else d for d, n in zip(available(), names, strict=True))
        yield f"devices: {', '.join(shown)}; {torch.get_num_threads()} CPU threads", False
        from midigen.layers import amx

        kernels = "AMX's kernels" if amx.library() is not None else "PyTorch alone"
        yield f"trains on the CPU with {kernels}", False
    except ImportError as error:
        yield f"torch does not load: {error}", True


def _plugin(group: str, name: str) -> tuple[str, bool]:
    """Load a plugin; a checkpoint must also have its model folder."""
    try:
        plugin = load(group, name)
        if group == "checkpoints":
            from midigen.modelfolder import read_config

            read_config(plugin().path)
        about = getattr(plugin, "about", None)
        more = f", {about()}" if about else ""
    except (ImportError, MidigenError) as error:
        return f"midigen.{group} {name}: fault: {error}", True
    return f"midigen.{group} {name}: ok{more}", False


def describe_model(model: str) -> Iterator[str]:
    """Yield what the model of a folder or checkpoint reads, and what it knows with counts."""
    from midigen.checkpoints import find
    from midigen.modelfolder import WEIGHTS, read_config, read_vocab

    folder = find(model)
    config, vocab = read_config(folder)["midigen"], read_vocab(folder)
    yield f"{folder}: {config['model']}, window {config['window']} ids"
    if (folder / WEIGHTS).is_file():
        yield f"weights: {(folder / WEIGHTS).stat().st_size:,} bytes"
    yield f"tokenizer: {vocab.tok}"
    parts = [f"{len(vocab.base)} base", f"{len(vocab.expansions)} merged"]
    parts.append(f"{sum(map(len, vocab.conditions.values()))} conditions")
    yield f"ids: {len(vocab)} ({', '.join(parts)})"
    yield f"fills in (--infill, --keep-tracks): {'yes' if vocab.infill else 'no'}"
    for field, counts in vocab.counts.items():
        yield f"{field}: {', '.join(_ranked(counts.items()))}"


def _ranked(counts: Iterable[tuple[str, int]]) -> list[str]:
    """Return ``value (pieces)``, the most frequent first."""
    ranked = sorted(counts, key=lambda item: (-item[1], item[0]))
    shown = [f"{value} ({count})" for value, count in ranked[:SHOWN]]
    return shown + [f"and {len(ranked) - SHOWN} more"] * (len(ranked) > SHOWN)
