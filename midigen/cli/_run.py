"""What a command needs from its surroundings: streams, messages, progress, the exit code."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from midigen.errors import UsageError

if TYPE_CHECKING:
    from midigen.rejects import Rejects

Item = TypeVar("Item")


class Run:
    """What a command needs from its surroundings: streams, messages, progress, the exit code."""

    def __init__(self, command: str, quiet: bool) -> None:
        self.command = command
        self.quiet = quiet
        self.exit_code = 0

    def given(self) -> dict[str, str]:
        """Return the options and arguments on the command line: {parameter: as it is written}."""
        from typer._click.core import ParameterSource
        from typer._click.globals import get_current_context

        context = get_current_context()
        return {
            str(param.name): param.opts[0]
            for param in context.command.params
            if context.get_parameter_source(str(param.name)) == ParameterSource.COMMANDLINE
        }

    def message(self, text: str) -> None:
        """Say one line on stderr, unless --quiet."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Say one line on stderr, also with --quiet: something the user must know."""
        sys.stderr.write(f"{self.command}: {text}\n")
        sys.stderr.flush()

    def progress(
        self, items: Iterable[Item] | None = None, *, total: int | None = None, unit: str = "record"
    ) -> Any:
        """Return a tqdm bar on stderr: shown only if that is a terminal and without --quiet."""
        if self.quiet or not sys.stderr.isatty():
            return Silent(items)
        from tqdm import tqdm

        return tqdm(items, total=total, unit=f" {unit}", desc=self.command, dynamic_ncols=True)

    @contextmanager
    def rejects(self, path: str | None, strict: bool) -> Iterator["Rejects"]:
        """Yield the collector of rejects; whole lines are appended to `path`."""
        from midigen.rejects import Rejects

        file = Path(path).open("ab", buffering=0) if path else None  # noqa: SIM115
        with Rejects(cast(BinaryIO, file) if file else None, strict=strict) as collector:
            yield collector

    @contextmanager
    def output(self, path: str = "-", *, force: bool = False) -> Iterator[BinaryIO]:
        """Yield where the records go: stdout, or a file that gets its name when it is whole."""
        if path == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        from midigen.atomic import atomic_file
        from midigen.jsonl import compressed

        with atomic_file(path, force=force) as file:
            packed = compressed(file, path)
            yield packed
            if packed is not file:
                packed.close()

    def inputs(self, files: Sequence[str] | None) -> list[str]:
        """Return the inputs, stdin if none is given. Refuses to wait for a terminal."""
        paths = list(files or ["-"])
        if "-" in paths and sys.stdin.isatty():
            raise UsageError("no input: name files, or pipe something in")
        return paths

    def refuse_terminal(self, what: str) -> None:
        """Refuse to write binary to a terminal."""
        if sys.stdout.isatty():
            raise UsageError(f"{what} is binary and stdout is a terminal; redirect it or use -o")

    def finish(self, accepted: int, what: str, rejects: "Rejects | None" = None) -> None:
        """Say the summary; with nothing accepted at all the exit code is 1."""
        parts = [what]
        if rejects is not None and rejects.total:
            parts.append(rejects.summary())
        self.message("; ".join(parts))
        if accepted == 0:
            if self.quiet:
                self.warn("; ".join(parts))
            self.exit_code = 1


class Silent:
    """A progress bar that shows nothing."""

    def __init__(self, items: Iterable[Any] | None = None) -> None:
        self._items = items if items is not None else ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def update(self, n: float = 1) -> None:
        return None

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        return None

    def close(self) -> None:
        return None
