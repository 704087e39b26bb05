"""The edge of every command: shared options, streams, messages, errors and exit codes.

A command module holds one function and ``main = Command(function, ...)``. The function's first
parameter is a `Run`; its docstring is the help text.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer import Argument, Option

from midigen import __version__
from midigen.cli._options import (
    NAME_FIELDS,
    Assignments,
    Device,
    FilesFrom,
    Force,
    Inputs,
    Jobs,
    LearnedOption,
    MidiInputs,
    ModelOption,
    Null,
    Output,
    RejectsFile,
    Seed,
    Strict,
    Timeout,
    TokenizerOption,
)
from midigen.cli._run import Run, Silent
from midigen.errors import MidigenError, UsageError

__all__ = [
    "NAME_FIELDS",
    "Argument",
    "Assignments",
    "Command",
    "CommandGroup",
    "Device",
    "Example",
    "FilesFrom",
    "Force",
    "Inputs",
    "Jobs",
    "LearnedOption",
    "MidiInputs",
    "ModelOption",
    "Null",
    "Option",
    "Output",
    "RejectsFile",
    "Run",
    "Seed",
    "Silent",
    "Strict",
    "Timeout",
    "TokenizerOption",
    "describe",
]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Example(NamedTuple):
    """A line of the EXAMPLES: what it does, and the shell line (which a test runs)."""

    text: str
    line: str


class Command:
    """A command: called, it runs on `sys.argv` and exits.

    examples: shown by --help and in the man page; a test runs each line.
    is_filter: die silently when the reader of stdout goes away. `toktrain` must not.
    sections: further headed paragraphs of the man page.
    """

    def __init__(
        self,
        function: Callable[..., None],
        *,
        name: str | None = None,
        examples: Sequence[Example] = (),
        is_filter: bool = True,
        sections: dict[str, str] | None = None,
        see_also: Sequence[str] = (),
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.examples = tuple(examples)
        self.is_filter = is_filter
        self.sections = sections or {}
        self.see_also = tuple(see_also)

    def click(self) -> Any:
        """Return the Click command object: the man pages are made from it."""
        app = self._app()
        app.command(self.name, epilog=self._epilog(), context_settings=_CONTEXT)(
            self._with_common_options(self.function)
        )
        return typer.main.get_command(app)

    def _app(self) -> typer.Typer:
        return typer.Typer(
            add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
        )

    def _epilog(self) -> str | None:
        lines = "\n".join(f"  {example.line}" for example in self.examples)
        return f"\b\nExamples:\n{lines}" if lines else None

    def _with_common_options(self, function: Callable[..., None]) -> Callable[..., Run]:
        """Return `function` without `run`, with the options that every command has."""

        def call(*, quiet: bool, traceback: bool, version: bool, **options: Any) -> Run:
            run = Run(self.name, quiet)
            function(run, **options)
            return run

        own = list(inspect.signature(function).parameters.values())[1:]
        hints = inspect.get_annotations(function)
        common: dict[str, Any] = {
            "quiet": Annotated[
                bool, Option("--quiet", "-q", help="No summary and no progress bar.")
            ],
            "traceback": Annotated[
                bool, Option("--traceback", help="Show where an error came from.")
            ],
            "version": self._version_option(),
        }
        extra = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=hint)
            for name, hint in common.items()
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        call.__signature__ = inspect.Signature(own + extra)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: hints[p.name] for p in own} | common
        call.__doc__ = function.__doc__
        return call

    def _version_option(self) -> Any:
        option = Option(
            "--version", help="Show the version and exit.", callback=self._version, is_eager=True
        )
        return Annotated[bool, option]

    def _version(self, asked: bool) -> None:
        if asked:
            typer.echo(f"{self.name} (midigen) {__version__}")
            raise typer.Exit

    def __call__(self, args: Sequence[str] | None = None) -> NoReturn:
        args = list(sys.argv[1:] if args is None else args)
        _open_closed_streams()
        if self.is_filter and hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.exit(self._run(args))

    def _run(self, args: list[str]) -> int:
        """Run and return the exit code. The one place that prints errors."""
        try:
            done = self.click().main(args=args, prog_name=self.name, standalone_mode=False)
            sys.stdout.flush()
            return done.exit_code if isinstance(done, Run) else int(done or 0)
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except Exception as error:
            if "--traceback" in args:
                raise
            text, code = describe(error)
            sys.stderr.write(f"{self.name}: {text}\n")
            return code
        finally:
            _drop_unwritten()


class CommandGroup(Command):
    """A command that is one of several: ``midigen plugins``. Each has the common options.

    help: of the group. functions: its commands, named as the functions.
    """

    def __init__(
        self, name: str, help: str, functions: Sequence[Callable[..., None]], **options: Any
    ) -> None:
        super().__init__(self._missing, name=name, **options)
        self.help = help
        self.functions = tuple(functions)

    def click(self) -> Any:
        """Return the Click group."""
        app = self._app()
        app.callback(
            invoke_without_command=True,
            help=self.help,
            epilog=self._epilog(),
            context_settings=_CONTEXT,
        )(self._with_version())
        for function in self.functions:
            call = self._with_common_options(function)
            app.command(function.__name__, context_settings=_CONTEXT)(call)
        return typer.main.get_command(app)

    def _with_version(self) -> Callable[..., None]:
        def call(context: typer.Context, version: bool = False) -> None:
            if context.invoked_subcommand is None:
                self._missing()

        call.__annotations__["version"] = self._version_option()
        return call

    def _missing(self) -> None:
        names = ", ".join(function.__name__ for function in self.functions)
        raise UsageError(f"no command given; there are {names}")


def describe(error: Exception) -> tuple[str, int]:
    """Return an error's one line and its exit code."""
    from typer._click.exceptions import ClickException

    if isinstance(error, MidigenError):
        return str(error), error.exit_code
    if isinstance(error, ClickException):
        return error.format_message().replace("\n", " "), error.exit_code
    if isinstance(error, OSError):
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{place}{error.strerror or error}", 1
    if isinstance(error, MemoryError):
        return "out of memory", 1
    return f"internal error: {type(error).__name__}: {error} (--traceback shows where)", 1


def _open_closed_streams() -> None:
    """Put the null device in the place of a stream that the caller closed (``2>&-``).

    Python leaves None there, and the next file that is opened would become the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def _drop_unwritten() -> None:
    """Close stdout so that a full disk or a gone reader is not reported twice at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
