"""Compare TSD, MIDILike and Structured with MidiTok's classes on MIDI files: `make check-oracle`.

The ids must be MidiTok's: of every file by default parameters, of some by others. Of every tenth of
these, the grammar must take them, and they must decode without a repair to what MidiTok's decoder
makes of them. Prints one line a configuration as
soon as it is done; exits with 1 if there is a difference.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from oracle.check_remi import CONFIGS as REMI
from oracle.check_remi import Outcome, compare_scores, midi_files
from remi_walks import accepts, content

CLASSES = ("TSD", "MIDILike", "Structured")
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "no tempos, no time signatures": (
        "tempos=0,ts=0",
        REMI["default"][1] | {"use_tempos": False, "use_time_signatures": False},
    ),
    "no durations": ("durations=none", REMI["default"][1] | {"use_note_duration_programs": []}),
    "no duplicates": ("dedupe=1", REMI["default"][1] | {"remove_duplicated_notes": True}),
}
NOT_STRUCTURED = (
    "no tempos, no time signatures",
    "MidiTok's default",
    "rests",
    "program changes",
)
"""Structured has none of this: MidiTok turns it off."""


def _configs() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return (class, parameters, MidiTok's arguments) by name."""
    return {
        f"{kind}, {name}": (kind, f"class={kind}{',' * bool(params)}{params}", arguments)
        for kind in CLASSES
        for name, (params, arguments) in (REMI | MORE).items()
        if kind != "Structured" or name not in NOT_STRUCTURED
    }


CONFIGS = _configs()
WAY_BACK = 10
"""Every so many files are decoded as well."""


@cache
def tokenizers(name: str) -> tuple[Any, Any, Any]:
    """Return our tokenizer of a configuration, MidiTok's, and one of MidiTok's to decode with.

    The last has the whole range of pitches: else it drops drum notes that it has encoded.
    """
    import miditok
    from midigen_miditok import MidiTok

    from midigen.spec import parse_params

    kind, params, arguments = CONFIGS[name]
    theirs, decoder = (
        getattr(miditok, kind)(miditok.TokenizerConfig(**arguments)) for _ in range(2)
    )
    decoder.config.pitch_range = (0, 127)
    return MidiTok(**parse_params(params)), theirs, decoder


@cache
def _grammar(name: str) -> Any:
    return tokenizers(name)[0].grammar()


def fault(name: str, score: Any) -> str:
    """Return what is wrong with the way back from a score's ids; empty if nothing is."""
    from miditok import TokSequence

    ours, _, decoder = tokenizers(name)
    encoded = ours.encode(score)
    if not all(accepts(_grammar(name), part.tolist()) for part in encoded.parts):
        return "refused by the grammar"
    decoded = ours.decode(encoded.parts, encoded.programs)
    if decoded.repairs:
        return f"repaired: {decoded.repairs}"
    sequences = [TokSequence(ids=part.tolist()) for part in encoded.parts]
    if ours.config.one_stream:
        expected = decoder.decode(sequences[0])
    else:
        programs = encoded.programs
        known = None if programs is None else [(max(p, 0), p == -1) for p in programs]
        expected = decoder.decode(sequences, programs=known)
    return "" if content(decoded.value) == content(expected) else "decoded otherwise"


def compare_files(job: tuple[str, Sequence[str]]) -> list[Outcome]:
    """Compare files, encoded as one batch, in the configuration named."""
    from symusic import Score

    name, paths = job
    outcomes, loaded = [], {}
    for path in paths:
        try:
            loaded[path] = Score(path)
        except Exception as error:  # symusic's errors are plain RuntimeError, ValueError ...
            outcomes.append(Outcome(name, path, "rejected", str(error)))
    ours, theirs, _ = tokenizers(name)
    results = compare_scores(ours, theirs, list(loaded.values()))
    for number, (path, result) in enumerate(zip(loaded, results, strict=True)):
        outcome, detail = result
        looked_at = outcome == "same" and number % WAY_BACK == 0
        wrong = fault(name, loaded[path]) if looked_at else ""
        outcomes.append(
            Outcome(name, path, *(("different", wrong) if wrong else (outcome, detail)))
        )
    return outcomes


def compare_all(
    files: Mapping[str, Sequence[str]], jobs: int, chunk: int = 32
) -> Iterator[Outcome]:
    """Yield the outcome of the files of every configuration, one configuration after another."""
    work = [
        (name, paths[start : start + chunk])
        for name, paths in files.items()
        for start in range(0, len(paths), chunk)
    ]
    if jobs == 1:
        for job in work:
            yield from compare_files(job)
        return
    with get_context("spawn").Pool(jobs) as pool:
        for outcomes in pool.imap(compare_files, work):
            yield from outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="folders with MIDI files, read recursively")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--sample", type=int, metavar="N", help="only N files, always the same")
    parser.add_argument(
        "--others",
        type=int,
        metavar="N",
        default=500,
        help="files for configurations other than the default of a class (default: 500)",
    )
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
    print(f"{'configuration':48} {'files':>7} {'rejected':>9} {'empty':>7} {'differences':>12}")
    differences = 0
    some = midi_files(options.folders, min(options.others, len(paths)))
    files = {name: paths if name.endswith(", default") else some for name in names}
    for name, outcomes in groupby(compare_all(files, options.jobs), lambda o: o.config):
        count: Counter[str] = Counter()
        for outcome in outcomes:
            count[outcome.outcome] += 1
            if outcome.outcome == "different":
                print(f"{outcome.path}: {name}: {outcome.detail}", file=sys.stderr)
        differences += count["different"]
        print(
            f"{name:48} {count.total():7} {count['rejected']:9} {count['empty']:7}"
            f" {count['different']:12}",
            flush=True,
        )
    print(f"{differences} differences, {time.monotonic() - start:.0f} s")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
