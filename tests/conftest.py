"""What the tests share: real MIDI, and a runner of the installed commands."""

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# Two workers of pytest-xdist on two cores: more threads each only wait for one another. Set before
# torch is imported, and inherited by the commands.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control lets what it puts into the background ignore Ctrl-C, and so would all
# that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tune_reader import read_tune

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
COMMANDS = sorted(
    path.stem
    for path in (CHECKOUT / "midigen" / "cli").glob("*.py")
    if not path.stem.startswith("_")
)


@dataclass(frozen=True)
class Result:
    """What a command left behind: exit code, stdout as bytes, stderr as text."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[bytes]:
        return self.out.splitlines()

    @property
    def text(self) -> str:
        return self.out.decode()


class Runner:
    """Runs installed commands in a fresh folder; where one fails, everything is printed."""

    def __init__(self, folder: Path, bin_dir: Path) -> None:
        self.folder = folder
        self.bin_dir = bin_dir
        self.env = os.environ | {"PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}

    def __call__(
        self,
        command: str,
        *args: str | Path,
        stdin: bytes = b"",
        code: int | None = 0,
        env: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run ``command args``; fail unless it exits with `code` (None: any)."""
        program = self.bin_dir / command
        argv = [str(program) if program.exists() else command, *map(str, args)]
        return self._finish(argv, shlex.join([command, *map(str, args)]), stdin, code, env, timeout)

    def shell(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        code: int | None = 0,
        env: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run a line of bash with ``pipefail``."""
        argv = ["bash", "-euo", "pipefail", "-c", script]
        return self._finish(argv, script, stdin, code, env, timeout)

    def _finish(
        self,
        argv: list[str],
        shown: str,
        stdin: bytes,
        code: int | None,
        env: dict[str, str] | None,
        timeout: float,
    ) -> Result:
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                cwd=self.folder,
                env=self.env | (env or {}),
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stderr or b"").decode(errors="replace")
            pytest.fail(f"$ {shown}\nno end after {timeout} s\n--- stderr\n{said[-4000:]}")
        result = Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        if code is not None and result.code != code:
            files = sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))
            pytest.fail(
                f"$ {shown}\nexit {result.code}, expected {code}\n"
                f"--- stdout (the last of {len(result.out)} bytes)\n"
                f"{result.out[-2000:].decode(errors='replace')}\n"
                f"--- stderr\n{result.err[-4000:]}\n--- files\n" + "\n".join(files[:100]),
                pytrace=False,
            )
        return result


@pytest.fixture(scope="session")
def bin_dir() -> Path:
    """The folder of the installed commands: the one of the running Python."""
    return Path(sys.executable).parent


@pytest.fixture
def run(tmp_path: Path, bin_dir: Path) -> Runner:
    """A runner in `tmp_path`: ``run("midi2tok", "a.mid")``, ``run.shell("midi2tok a.mid|wc")``."""
    return Runner(tmp_path, bin_dir)


@pytest.fixture(scope="session")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MIDI files made from ``tests/tunes/*.abc``: read it, do not write into it."""
    folder = tmp_path_factory.mktemp("tunes")
    for text in sorted((HERE / "tunes").glob("*.abc")):
        (folder / f"{text.stem}.mid").write_bytes(read_tune(text))
    return folder


@pytest.fixture(scope="session")
def hexdumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the MIDI files, whole and broken, that ``tests/hexdumps/*.hex`` spell out."""
    folder = tmp_path_factory.mktemp("hexdumps")
    for text in sorted((HERE / "hexdumps").glob("*.hex")):
        lines = text.read_text(encoding="utf-8").splitlines()
        data = bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))
        (folder / f"{text.stem}.mid").write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of larger data beside the checkout; without it the test is skipped."""
    folder = CHECKOUT.parent / "shared"
    if not (folder / "corpus").is_dir():
        pytest.skip(f"no data at {folder}: this test wants it")
    return folder


SHORT_TRAINING = """\
#!/bin/sh
# The toktrain behind this one, on the CPU and for some small steps, however long was asked for:
# enough that bars end. Of little data, names of a single piece are conditions too.
for word do
    shift
    case $word in
    --minutes | --epochs | --steps) drop=yes ;;
    *) [ "$drop" ] || set -- "$@" "$word"; drop= ;;
    esac
done
exec {program} "$@" --steps 20 --preset tiny --batch 512 --eval-tokens 512 --condition-least 1 \\
    --device cpu
"""


@pytest.fixture
def short_training(run: Runner) -> None:
    """Make the `toktrain` of `run` a short one: for tests of what stands around the training."""
    short = run.folder / ".bin" / "toktrain"
    short.parent.mkdir()
    short.write_text(SHORT_TRAINING.format(program=run.bin_dir / "toktrain"))
    short.chmod(0o755)
    run.env["PATH"] = f"{short.parent}{os.pathsep}{run.env['PATH']}"
