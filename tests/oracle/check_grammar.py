"""Check `remi`'s grammar and decoder against MidiTok and MIDI files: `make check-oracle`.

Files: every sequence that MidiTok's encoder makes must be accepted by the grammar, and decode
without a repair to what MidiTok's decoder makes of it. Samples: sequences that an untrained model
writes under the grammar, without merges and with merges learned from the files, must decode without
a repair. Prints one line each; exits with 1 if there is a difference or a repair.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from oracle.check_remi import CONFIGS, midi_files
from remi_walks import accepts, content, grammar, miditok, miditok_content, remi

SPECS = [spec for spec, _ in CONFIGS.values()]
SHORTEST, LONGEST = 200, 2000
MERGES = 2000
LEARN_FROM = 400


def outcome(spec: str, score: Any) -> str:
    """Return what became of a score: ``same``, ``rejected`` by MidiTok, or what is wrong."""
    try:
        sequences = miditok(spec).encode(score.copy())
    except Exception:  # whatever MidiTok raises: it does not accept this score
        return "rejected"
    found = sequences if isinstance(sequences, list) else [sequences]
    parts = [s.ids for s in found if s.ids]
    prepared = miditok(spec).preprocess_score(score.copy())
    if not prepared.note_num():
        return "rejected"
    programs = None
    if not remi(spec).config.programs:
        programs = [-1 if track.is_drum else track.program for track in prepared.tracks]
    if not all(accepts(grammar(spec), part) for part in parts):
        return "refused by the grammar"
    decoded = remi(spec).decode(parts, programs)
    if decoded.repairs:
        return f"repaired: {decoded.repairs}"
    if content(decoded.value) != miditok_content(spec, parts, programs):
        return "decoded otherwise than by MidiTok"
    return "same"


def check_files(job: tuple[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Return (spec, path, outcome) of files."""
    from symusic import Score

    spec, paths = job
    found = []
    for path in paths:
        try:
            score = Score(path)
        except Exception:  # symusic's errors are plain RuntimeError, ValueError ...
            found.append((spec, path, "rejected"))
        else:
            found.append((spec, path, outcome(spec, score)))
    return found


def all_files(
    specs: Sequence[str], paths: Sequence[str], jobs: int, chunk: int = 32
) -> Iterator[tuple[str, str, str]]:
    work = [(s, paths[i : i + chunk]) for s in specs for i in range(0, len(paths), chunk)]
    if jobs == 1:
        for job in work:
            yield from check_files(job)
        return
    with get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap_unordered(check_files, work):
            yield from found


def learned_merges(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Learn merges from files in the default configuration."""
    from symusic import Score

    from midigen.errors import Reject
    from midigen.merges import learn

    pieces = []
    for path in paths:
        try:
            encoded = remi("").encode(Score(path))
        except (Reject, RuntimeError):
            continue
        pieces += [(ids.astype(np.int64), remi("").bar_starts(ids)) for ids in encoded.parts]
    return learn(pieces, len(remi("").vocab), MERGES)


def samples(merges: Sequence[tuple[int, int]], count: int, seed: int) -> Iterator[list[int]]:
    """Yield sequences of SHORTEST to LONGEST base ids, written by a llama as it is before training.

    This is `toksample`'s own way, from conditions that are empty.
    """
    import torch

    from midigen.constrain import Lifted
    from midigen.draft import Draft
    from midigen.modelvocab import ModelVocab
    from midigen.plan import Limits, Plan
    from midigen.prompts import unprompted
    from midigen.registry import load
    from midigen.sampler import Settings, sample

    tokenizer = remi("")
    tok = f"{tokenizer.spec}#{tokenizer.vocab.fingerprint}"
    vocab = ModelVocab(tokenizer.vocab, tok, merges=merges, bar_starts=tokenizer.bar_starts)
    lifted = Lifted(tokenizer.grammar(), vocab.expansions)
    llama = load("models", "llama")
    torch.manual_seed(seed)
    model = llama.build(llama.Config(width=32, layers=1, head=16), len(vocab)).eval()
    lengths = np.random.default_rng(seed).integers(SHORTEST, LONGEST + 1, count).tolist()
    window = 64

    def drafts() -> Iterator[Draft]:
        for index, length in enumerate(sorted(lengths)):
            plan = Plan(vocab, tokenizer, lifted, Limits(tokens=length), window, seed)
            yield Draft(plan, unprompted(plan, {}), index)

    for draft in sample(model, window, drafts(), Settings(), batch=32):
        yield draft.ids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="folders with MIDI files, read recursively")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--files", type=int, metavar="N", help="only N files, always the same")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="sequences of each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = midi_files(options.folders, options.files)
    if not paths:
        parser.error(f"no MIDI files in {', '.join(options.folders)}")
    start, wrong = time.monotonic(), 0
    counts = {spec: Counter[str]() for spec in SPECS}
    for spec, path, found in all_files(SPECS, paths, options.jobs):
        counts[spec][found] += 1
        if found not in ("same", "rejected"):
            wrong += 1
            print(f"{path}: remi:{spec}: {found}", file=sys.stderr)
    for spec, count in counts.items():
        different = count.total() - count["same"] - count["rejected"]
        print(
            f"files, remi:{spec}: {count['same']} same, {count['rejected']} rejected by MidiTok,"
            f" {different} different"
        )
    for name, merges in (("no", []), ("learned", learned_merges(paths[:LEARN_FROM]))):
        lengths, notes, repaired = [], [], 0
        for ids in samples(merges, options.samples, options.seed):
            decoded = remi("").decode([ids])
            lengths.append(len(ids))
            notes.append(decoded.value.note_num())
            repaired += bool(decoded.repairs)
        wrong += repaired
        print(
            f"samples, {name} merges ({len(merges)}): {len(lengths)} of {min(lengths)} to"
            f" {max(lengths)} ids, {np.mean(notes):.1f} notes on average, {repaired} repaired"
        )
    print(f"{wrong} differences and repairs, {time.monotonic() - start:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
