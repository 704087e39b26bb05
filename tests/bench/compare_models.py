"""Test losses of the architectures on POP909: same data, same split, same minutes, same trainer.

FOLDER has the MIDI files and split.json, {split: [file name]}. Every run trains on bars and notes
(`barnote`, 153 ids) with transposed copies, at about 4.3 million parameters, from one command,
which is printed; then whole test pieces are scored. What -o has already is not done again.
Nothing else may run on the machine. Prints the table in Markdown.
"""

import argparse
import json
import math
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open

BIN = Path(sys.executable).parent
LLAMA = "--model llama:width=256,layers=5,hidden=736"
GROWN = "--window 2048 --window-growth 0.7 --condition none"
MERGED = f"--bpe 256 {GROWN}"
PLAIN = "--specials none --condition none --lr 1e-2 --weight-decay 0.1"
ARCHITECTURES = {
    "llama": f"{LLAMA} {MERGED}",
    "musictransformer": f"--model musictransformer {PLAIN} --window 256",
    "lstm": f"--model lstm {PLAIN} --window 256",
    "musicgpt": f"--model musicgpt:layers=4,hidden=960 {PLAIN}",
    "synphony": f"--model synphony:layers=5,width=256,heads=8,hidden=1152 {PLAIN}",
    "pitchlstm": f"--model pitchlstm:width=572 {PLAIN} --window 256",
}
CHANGES = {
    "without copies": f"{LLAMA} {MERGED}",
    "windows of 512": f"{LLAMA} --bpe 256 --condition none --window 512",
    "without merges": f"{LLAMA} {GROWN}",
    "1,024 merges": f"--model llama:width=256,layers=5,hidden=672 --bpe 1024 {GROWN}",
    "320 wide, 3 layers": f"--model llama:width=320,layers=3,hidden=1024 {MERGED}",
    "384 wide, 2 layers": f"--model llama:width=384,layers=2,hidden=1280 {MERGED}",
    "all weights drawn": f"{LLAMA},copies=0 {MERGED}",
    "theta 10,000": f"{LLAMA},theta=10000 {MERGED}",
    "dropout 0.1": f"{LLAMA},dropout=0.1 {MERGED}",
    "AdamW": f"{LLAMA} {MERGED} --optimizer adamw",
}
"""What is changed in the run of `llama`, by the name of the change."""
PLAINLY = frozenset({"without copies"})


def shell(line: str, folder: Path) -> None:
    """Run a line of bash; what it says is shown."""
    script = f"PATH={shlex.quote(str(BIN))}:$PATH; {line}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)


def prepare(music: Path, out: Path) -> None:
    """Write tokens.jsonl: all pieces, with the split that was published with them."""
    if (out / "tokens.jsonl").exists():
        return
    split = json.loads((music / "split.json").read_text())
    rows = [{"file": file, "split": part} for part, files in split.items() for file in files]
    (out / "split.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = f"midi2tok --tokenizer barnote {shlex.quote(str(music.resolve()))}"
    shell(f"{read} | toklabel --from jsonl:split.jsonl -o tokens.jsonl", out)


def train(name: str, options: str, seed: int, minutes: float, out: Path) -> dict[str, Any]:
    """Train and score, unless that has been done; return the totals of the test pieces."""
    model = f"{name.replace(' ', '-').replace(',', '')}-{seed}"
    result = out / f"{model}.json"
    if not result.exists():
        stream = "tokens.jsonl" if name in PLAINLY else "<(tokaug --shift 6 tokens.jsonl)"
        line = f"toktrain {options} --minutes {minutes:g} --seed {seed} {stream} -o {model}.model"
        print(f"$ {line}", file=sys.stderr)
        shell(f"{line} --force > {model}.metrics", out)
        shell(f"tokeval -m {model}.model --split test tokens.jsonl | tail -n 1 > {model}.part", out)
        (out / f"{model}.part").replace(result)
    total: dict[str, Any] = json.loads(result.read_text())
    steps = [json.loads(line) for line in (out / f"{model}.metrics").read_text().splitlines()]
    with safe_open(out / f"{model}.model" / "model.safetensors", "np") as weights:
        shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118
    total["parameters"] = sum(math.prod(shape) for shape in shapes)
    total["trained"] = max(step["tokens"] for step in steps if step["event"] == "train")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("music", type=Path, help="MIDI files and split.json")
    parser.add_argument("names", nargs="*", default=[], help="of the runs; else all architectures")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=1, help="runs of each")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/compare"))
    options = parser.parse_intermixed_args()
    options.out.mkdir(parents=True, exist_ok=True)
    prepare(options.music, options.out)
    runs = ARCHITECTURES | CHANGES
    print("| run | seeds | parameters | tokens trained | nats a note | sd |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in options.names or ARCHITECTURES:
        found = [
            train(name, runs[name], seed, options.minutes, options.out)
            for seed in range(options.seeds)
        ]
        losses = [total["loss_note"] for total in found]
        spread = f"{statistics.stdev(losses):.3f}" if len(losses) > 1 else ""
        trained = statistics.mean(total["trained"] for total in found)
        cells = (
            name,
            len(found),
            f"{found[0]['parameters']:,}",
            f"{trained:,.0f}",
            f"{statistics.mean(losses):.3f}",
            spread,
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
