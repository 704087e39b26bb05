"""Compare `miditok` with MidiTok's own classes on MIDI files: tokens, decoding and grammars.

Prints one line a configuration as soon as it is done: the files, those that MidiTok or symusic
rejects, those without a note in the vocabulary, those that MidiTok encodes but fails to decode (or
decodes wrongly, as we know), and those where anything differs: tokens, what they decode to, a
repair, or a grammar that does not take them. Exits with 1 if any do.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

from check_remi import Outcome, midi_files

sys.path.insert(0, str(Path(__file__).parents[1]))


def compare_files(job: tuple[str, Sequence[str]]) -> list[Outcome]:
    """Compare files in the configuration named."""
    from symusic import Score

    name, paths = job
    outcomes = []
    for path in paths:
        try:
            score = Score(path)
        except Exception as error:  # symusic's errors are plain RuntimeError, ValueError ...
            outcomes.append(Outcome(name, path, "rejected", str(error)))
            continue
        outcomes.append(Outcome(name, path, *_compare(name, score)))
    return outcomes


def _compare(name: str, score: object) -> tuple[str, str]:
    """Return (outcome, detail) of a score."""
    import miditok_pairs as pairs
    from remi_walks import accepts, content

    from midigen.errors import Reject

    (found,) = pairs.ours(name).encode_many([score])
    if isinstance(found, Reject):
        return ("empty" if found.reason == "no_notes" else "rejected"), str(found)
    if pairs.our_tokens(name, found.parts) != pairs.their_tokens(name, score):
        return "different", "tokens"
    if not all(accepts(pairs.grammar(name), part.tolist()) for part in found.parts if len(part)):
        return "different", "the grammar does not take them"
    decoded = pairs.ours(name).decode(found.parts, found.programs)
    if decoded.repairs:
        return "different", f"repairs: {decoded.repairs}"
    try:
        expected = pairs.their_content(name, found.parts, found.programs)
    except Exception as error:  # MidiTok documents none
        return "undecoded", f"{type(error).__name__}: {error}"
    own = pairs.without_repeats(content(decoded.value))
    if own == expected:
        return "same", ""
    if pairs.kind_of(name) == "Octuple" and len({s[2] for s in own["signatures"]}) > 1:
        # The first note of such a bar is placed by the positions of the signature before.
        return "undecoded", "MidiTok misplaces a note where the denominator changes"
    return "different", "decoded"


def compare_all(
    names: Sequence[str], paths: Sequence[str], jobs: int, chunk: int = 16
) -> Iterator[Outcome]:
    """Yield the outcome of every file in every configuration, one configuration after another."""
    chunks = [paths[start : start + chunk] for start in range(0, len(paths), chunk)]
    work = [(name, some) for name in names for some in chunks]
    with get_context("spawn").Pool(jobs) as pool:
        for outcomes in pool.imap(compare_files, work):
            yield from outcomes


def main() -> int:
    from miditok_pairs import CONFIGS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="folders with MIDI files, read recursively")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--sample", type=int, metavar="N", help="only N files, always the same")
    parser.add_argument(
        "--config",
        action="append",
        choices=list(CONFIGS),
        help="only this configuration (may be given several times)",
    )
    options = parser.parse_args()
    names = options.config or list(CONFIGS)
    paths = midi_files(options.folders, options.sample)
    if not paths:
        parser.error(f"no MIDI files in {', '.join(options.folders)}")
    start = time.monotonic()
    kinds = ("rejected", "empty", "undecoded", "different")
    print(f"{'configuration':66} {'files':>6} " + " ".join(f"{kind:>9}" for kind in kinds))
    differences = 0
    for name, outcomes in groupby(compare_all(names, paths, options.jobs), lambda o: o.config):
        count: Counter[str] = Counter()
        for outcome in outcomes:
            count[outcome.outcome] += 1
            if outcome.outcome in ("different", "undecoded"):
                print(f"{outcome.path}: {name}: {outcome.detail}", file=sys.stderr)
        differences += count["different"]
        counts = " ".join(f"{count[kind]:9}" for kind in kinds)
        print(f"{name:66} {count.total():6} {counts}", flush=True)
    print(f"{differences} differences, {time.monotonic() - start:.0f} s")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
