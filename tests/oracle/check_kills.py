"""Kill a training run again and again, and compare what it becomes with a run that was left alone.

A run of `--steps` is killed with SIGKILL at random moments, some before its token store is sealed
and most after, and taken up each time: before the seal by the same command with --force, after it
with --resume. In the end weights, optimiser and place in the data must be equal, bit for bit.
Prints a line for each kill; exits with 1 if anything differs.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
RUN = (
    *("--model", "llama:width=64,layers=2,head=16", "--window", "128", "--batch", "512"),
    *("--bpe", "50", "--evals", "20", "--eval-tokens", "2048", "--patience", "0", "--seed", "3"),
)
STATE = "training/state.safetensors"


def start(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [str(BIN / "toktrain"), *args]
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    error = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"toktrain ended with {process.returncode}:\n{error}")


def tensors(path: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    return {name: value.tobytes() for name, value in load_file(path).items()}


def sealed(folder: Path) -> bool:
    return (folder / "killed.training/training/store/store.json").is_file()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def kill_before_seal(folder: Path, args: tuple[str, ...], draw: random.Random) -> str:
    """Start a run and kill it while it reads its stream."""
    process = start(folder, *args, "-o", "killed", "--force")
    # Wait until it has begun to write, then a little.
    place = folder / "killed.training/training/store"
    while process.poll() is None and not (place / "ids.bin").exists():
        time.sleep(0.005)
    time.sleep(draw.uniform(0.0, 0.3))
    kill(process)
    return "before the seal" if not sealed(folder) else "just behind the seal"


def kill_after_seal(folder: Path, args: tuple[str, ...], draw: random.Random, last: float) -> str:
    """Go on with a run, or start it, and kill it at a random moment behind the seal."""
    has_state = (folder / "killed.training" / STATE).is_file()
    has_settings = (folder / "killed.training/training/settings.json").is_file()
    goes_on = has_state or (has_settings and sealed(folder))
    more = ("--resume",) if goes_on else (*args, "--force")
    process = start(folder, *more, "-o", "killed")
    while process.poll() is None and not sealed(folder):
        time.sleep(0.005)
    time.sleep(draw.uniform(0.0, last))
    done = process.poll() is not None
    kill(process) if not done else finish(process)
    return "finished before it was killed" if done else "killed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path, help="a folder of MIDI files")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--before", type=int, default=5, help="kills before the store is sealed")
    parser.add_argument("--after", type=int, default=30, help="kills behind it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    with (folder / "in.jsonl").open("wb") as out:
        subprocess.run([BIN / "midi2tok", options.music], stdout=out, check=True)
    args = ("in.jsonl", *RUN, "--steps", str(options.steps))
    began = time.monotonic()
    finish(start(folder, *args, "-o", "whole"))
    whole_s = time.monotonic() - began
    print(f"left alone: {whole_s:.1f} s", flush=True)
    kills = 0
    for k in range(options.before):
        print(f"{k + 1}: {kill_before_seal(folder, args, draw)}", flush=True)
        kills += 1
    # Long enough to get on between kills, short enough that all of them fit into the run.
    last = max(2.0, 2.5 * whole_s / 4)
    while kills < options.before + options.after:
        how = kill_after_seal(folder, args, draw, last)
        print(f"{kills + 1}: {how}", flush=True)
        if (folder / "killed").exists():
            # The run came to its end: the rest of the kills hit it from its start again.
            differs = compare(folder)
            if differs:
                print(f"different after {kills} kills: {', '.join(differs)}")
                return 1
            shutil.rmtree(folder / "killed")
        kills += how == "killed"
    if not (folder / "killed").exists():
        more = (
            ("--resume",) if (folder / "killed.training" / STATE).is_file() else (*args, "--force")
        )
        finish(start(folder, *more, "-o", "killed"))
    differs = compare(folder)
    print(f"{kills} kills; different: {', '.join(differs) or 'nothing'}")
    shutil.rmtree(folder)
    return 1 if differs else 0


def compare(folder: Path) -> list[str]:
    """Return the names of the tensors that are not equal, bit for bit."""
    different = []
    for name in ("model.safetensors", STATE):
        one, other = tensors(folder / "whole" / name), tensors(folder / "killed" / name)
        different += sorted(
            key for key in one.keys() | other.keys() if one.get(key) != other.get(key)
        )
    return different


if __name__ == "__main__":
    sys.exit(main())
