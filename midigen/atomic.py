"""Output that is there whole or not at all: written beside its name, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from midigen.errors import MidigenError


def refuse_existing(path: Path, force: bool) -> None:
    """Raise MidigenError if something stands at `path` and `force` is not given."""
    if not force and (path.exists() or path.is_symlink()):
        raise MidigenError(f"{path} exists; --force replaces it")


@contextmanager
def atomic_file(path: str | Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file that gets the name `path` only when the block ends without an exception.

    A device or a pipe of that name is written to as it is: renaming would put a file in its place.
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            yield file
        return
    refuse_existing(target, force)
    _need_folder(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.part-", dir=target.parent or ".")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        refuse_existing(target, force)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a fresh folder beside `path` that takes its name when the block ends well."""
    target = Path(path)
    refuse_existing(target, force)
    _need_folder(target)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent or "."))
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        move_folder(part, target, force=force)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def move_folder(part: Path, target: Path, *, force: bool) -> None:
    """Give the folder `part` the name `target`, replacing what stands there only with `force`."""
    refuse_existing(target, force)
    if target.is_dir() and not target.is_symlink():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent or "."))
        target.rename(old / target.name)
        part.rename(target)
        shutil.rmtree(old)
    else:
        target.unlink(missing_ok=True)
        part.rename(target)


def _need_folder(target: Path) -> None:
    if not target.parent.is_dir():
        raise MidigenError(f"cannot write {target}: there is no folder {target.parent}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
