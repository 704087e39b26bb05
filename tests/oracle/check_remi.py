"""Compare `remi` with MidiTok's REMI, id for id, on MIDI files: `make check-oracle`.

Prints one line a configuration as soon as it is done: the files, those that MidiTok or symusic
rejects, those without a note in the vocabulary, and those whose ids differ. Exits with 1 if any do.
"""

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT = {
    "use_programs": True,
    "use_tempos": True,
    "use_time_signatures": True,
    "one_token_stream_for_programs": True,
    "time_signature_range": {
        2: [1, 2, 3, 4],
        4: [1, 2, 3, 4, 5, 6, 7, 8, 9],
        8: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15],
        16: [3, 4, 6, 7, 9, 12],
    },
}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("", DEFAULT),
    "MidiTok's default": ("programs=0,tempos=0,ts=miditok", {}),
    "resolution 12": ("res=12", DEFAULT | {"beat_res": {(0, 12): 12}}),
    "16 velocities": ("velocities=16", DEFAULT | {"num_velocities": 16}),
    "no velocities": ("velocities=0", DEFAULT | {"use_velocities": False}),
    "rests": ("rests=1", DEFAULT | {"use_rests": True}),
    "narrow pitch range": ("pitch=48-72", DEFAULT | {"pitch_range": (48, 72)}),
    "no drum pitches": ("drums=0", DEFAULT | {"use_pitchdrum_tokens": False}),
    "program changes": ("changes=1", DEFAULT | {"program_changes": True}),
    "a sequence a track": ("stream=tracks", DEFAULT | {"one_token_stream_for_programs": False}),
    "a sequence a track, no programs": ("programs=0", DEFAULT | {"use_programs": False}),
}


class Outcome(NamedTuple):
    """What became of one file: same, different, empty (no note left) or rejected (by MidiTok)."""

    config: str
    path: str
    outcome: str
    detail: str = ""


@cache
def tokenizers(name: str) -> tuple[Any, Any]:
    """Return our tokenizer of a configuration and MidiTok's, built from separate descriptions."""
    from midigen_remi import Remi
    from miditok import REMI, TokenizerConfig

    from midigen.spec import parse_params

    params, arguments = CONFIGS[name]
    return Remi(**parse_params(params)), REMI(TokenizerConfig(**arguments))


def compare_scores(ours: Any, theirs: Any, scores: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield (outcome, detail) of each score, encoded by ours as one batch and by MidiTok's REMI."""
    from midigen.errors import Reject

    for score, result in zip(scores, ours.encode_many(scores), strict=True):
        try:
            sequences = theirs.encode(score.copy())  # it moves time signatures in place
        except Exception as error:  # whatever MidiTok raises: it does not accept this score
            yield "rejected", f"{type(error).__name__}: {error}"
            continue
        expected = [s.ids for s in (sequences if isinstance(sequences, list) else [sequences])]
        if isinstance(result, Reject):
            left = theirs.preprocess_score(score.copy()).note_num()
            empty = left == 0 and result.reason == "no_notes"
            yield ("empty", "") if empty else ("different", f"we reject it: {result}")
            continue
        found = [part.tolist() for part in result.parts]
        lossy = theirs.score_has_time_signatures_not_in_vocab(score)
        if found == expected and ("time_signature" in result.lossy) == lossy:
            yield "same", ""
        else:
            yield "different", first_difference(found, expected, ours.vocab.tokens)


def first_difference(
    found: list[list[int]], expected: list[list[int]], tokens: Sequence[str]
) -> str:
    """Say where two lists of sequences part."""
    if len(found) != len(expected):
        return f"{len(found)} sequences, MidiTok has {len(expected)}"
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if ours != theirs:
            same = [a == b for a, b in zip(ours, theirs, strict=False)]
            at = same.index(False) if False in same else len(same)
            near = [
                " ".join(tokens[i] for i in ids[max(0, at - 3) : at + 4]) for ids in (ours, theirs)
            ]
            return f"sequence {number}, id {at}: {near[0]} | MidiTok: {near[1]}"
    return "the same ids, but not the same word on lost time signatures"


def compare_files(job: tuple[str, Sequence[str]]) -> list[Outcome]:
    """Compare files, as one batch, in the configuration named."""
    from symusic import Score

    name, paths = job
    outcomes, loaded = [], {}
    for path in paths:
        try:
            loaded[path] = Score(path)
        except Exception as error:  # symusic's errors are plain RuntimeError, ValueError ...
            outcomes.append(Outcome(name, path, "rejected", str(error)))
    results = compare_scores(*tokenizers(name), list(loaded.values()))
    return outcomes + [Outcome(name, path, *r) for path, r in zip(loaded, results, strict=True)]


def midi_files(folders: Iterable[str], sample: int | None = None) -> list[str]:
    """Return the MIDI files in folders, recursively, or `sample` of them, chosen by their names."""
    found = [
        str(path)
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix.lower() in (".mid", ".midi")
    ]
    if sample is None or sample >= len(found):
        return found
    return sorted(found, key=lambda path: hashlib.sha256(path.encode()).digest())[:sample]


def compare_all(
    names: Sequence[str], paths: Sequence[str], jobs: int, chunk: int = 32
) -> Iterator[Outcome]:
    """Yield the outcome of every file in every configuration, one configuration after another."""
    chunks = [paths[start : start + chunk] for start in range(0, len(paths), chunk)]
    work = [(name, some) for name in names for some in chunks]
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
    print(f"{'configuration':32} {'files':>7} {'rejected':>9} {'empty':>7} {'differences':>12}")
    differences = 0
    for name, outcomes in groupby(compare_all(names, paths, options.jobs), lambda o: o.config):
        count: Counter[str] = Counter()
        for outcome in outcomes:
            count[outcome.outcome] += 1
            if outcome.outcome == "different":
                print(f"{outcome.path}: {name}: {outcome.detail}", file=sys.stderr)
        differences += count["different"]
        print(
            f"{name:32} {count.total():7} {count['rejected']:9} {count['empty']:7}"
            f" {count['different']:12}",
            flush=True,
        )
    print(f"{differences} differences, {time.monotonic() - start:.0f} s")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
