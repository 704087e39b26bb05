"""`miditok`: the same tokens as MidiTok's classes, and decoding and grammars that agree."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from midigen_miditok import MidiTok
from midigen_miditok.kinds import KINDS
from miditok_pairs import (
    CONFIGS,
    grammar,
    our_tokens,
    ours,
    their_content,
    their_tokens,
    theirs,
    without_repeats,
)
from remi_walks import accepts, content, sampled, spoiled
from symusic import Score
from tokenizer_laws import tunes

from midigen.errors import MidigenError, Reject
from midigen.moves import Moves
from midigen.spec import parse_params, parse_spec

every = pytest.mark.parametrize("params", CONFIGS)
BEYOND_MIDITOK = "changes=1,class=PerTok,ts=default"
"""MidiTok's decoder fails on tempos behind a time signature here: its ticks are floats."""
OF_CORPUS = 3
"""Files of the corpus for each configuration: all of them take `tests/oracle/check_miditok.py`."""


@cache
def scores() -> list[Any]:
    return [Score.from_midi(data) for data in tunes()]


def corpus_scores(shared: Path, params: str) -> Iterator[Any]:
    """Yield a few files of the corpus, other ones for each configuration."""
    files = sorted((shared / "corpus").rglob("*.mid"))
    first = 401 * list(CONFIGS).index(params)
    for path in islice(files, first % len(files), None, len(files) // OF_CORPUS):
        yield Score(path)


def check_against_miditok(params: str, score: Any) -> bool:
    """Compare tokens and decoding of a score; return whether it has notes to compare."""
    (found,) = ours(params).encode_many([score])
    if isinstance(found, Reject):
        assert found.reason == "no_notes"
        return False
    assert our_tokens(params, found.parts) == their_tokens(params, score)
    decoded = ours(params).decode(found.parts, found.programs)
    assert decoded.repairs == {}
    if params != BEYOND_MIDITOK:
        expected = their_content(params, found.parts, found.programs)
        assert without_repeats(content(decoded.value)) == expected
    for part in found.parts:
        assert accepts(grammar(params), part.tolist())
    return True


@every
def test_vocabulary_is_that_of_miditok(params: str) -> None:
    vocab = theirs(params).vocab
    slots = vocab if isinstance(vocab, list) else [vocab]
    expected = [sorted(slot, key=slot.__getitem__) for slot in slots]
    if len(slots) > 1:
        expected = [[f"{k}.{token}" for token in slot] for k, slot in enumerate(expected)]
    assert list(ours(params).vocab.tokens) == [token for slot in expected for token in slot]
    assert ours(params).unit == len(slots)
    assert ours(params).spec == f"miditok:{params}"


@every
def test_tunes_are_encoded_and_decoded_as_by_miditok(params: str) -> None:
    assert sum(check_against_miditok(params, score) for score in scores()) >= 15


@every
def test_corpus_files_are_encoded_and_decoded_as_by_miditok(params: str, shared: Path) -> None:
    compared = [check_against_miditok(params, score) for score in corpus_scores(shared, params)]
    assert any(compared)


@every
def test_a_repair_is_what_the_grammar_does_not_take(params: str) -> None:
    rng = np.random.default_rng(1)
    seen: Counter[bool] = Counter()
    for length in (5, 40, 100, 150, 200, 300):
        ids = sampled(grammar(params), rng, length)
        assert ours(params).decode([ids]).repairs == {}
        for _ in range(8):
            broken = spoiled(ids, len(ours(params).vocab), rng)
            if broken:
                repairs = ours(params).decode([broken]).repairs
                assert accepts(grammar(params), broken) == (not repairs), repairs
                seen[not repairs] += 1
    assert seen[False] > 10


@every
def test_random_ids_decode_and_are_repaired(params: str) -> None:
    rng = np.random.default_rng(2)
    tokenizer = ours(params)
    for length in (1, 2, 3, 5, 8, 30, 300):
        parts = [rng.integers(0, len(tokenizer.vocab), length) for _ in range(3)]
        decoded = tokenizer.decode(parts, [-1, 0, 127])
        assert decoded.repairs
        assert all(note.start >= 0 for track in decoded.value.tracks for note in track.notes)
    assert tokenizer.decode([[]]).repairs == {}
    assert tokenizer.decode([]).value.note_num() == 0


@every
def test_samples_of_all_lengths_end_and_need_no_repair(params: str) -> None:
    rng = np.random.default_rng(3)
    notes = []
    for length in (200, 600, 2000):
        ids = sampled(grammar(params), rng, length)
        assert len(ids) >= length
        assert len(ids) % ours(params).unit == 0
        decoded = ours(params).decode([ids])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    assert np.mean(notes) > 20


@every
def test_ids_of_one_class_are_alike_to_the_grammar(params: str) -> None:
    rng = np.random.default_rng(4)
    rules = grammar(params)
    members: dict[int, list[int]] = {}
    for id, group in enumerate(rules.classes.tolist()):
        members.setdefault(group, []).append(id)
    state = rules.start()
    for _ in range(300):
        mask = rules.mask(state)
        assert not mask.flags.writeable
        id = int(rng.choice(np.flatnonzero(mask)))
        group = members[int(rules.classes[id])]
        assert mask[group].all()
        behind = rules.step(state, id)
        assert rules.step(state, group[int(rng.integers(len(group)))]) == behind
        state = behind
    assert len(members) < len(ours(params).vocab)


def notes_in_quarters(score: Any) -> list[tuple[int, int, float, float, int]]:
    """Return (program, pitch, onset, duration, velocity) of every note, sorted."""
    quarter = score.ticks_per_quarter
    return sorted(
        (
            -1 if track.is_drum else track.program,
            note.pitch,
            note.start / quarter,
            note.duration / quarter,
            note.velocity,
        )
        for track in score.tracks
        for note in track.notes
    )


@pytest.mark.parametrize(
    ("params", "onset", "duration"),
    [
        ("class=CPWord", 1 / 16, 1 / 16),
        ("class=Octuple", 1 / 16, 1 / 16),
        ("class=MuMIDI", 1 / 16, 1 / 16),
        ("class=MMM", 1 / 16, 1 / 16),
        ("class=PerTok", 0.125 / 30 + 1 / 320, 1 / 8),
    ],
)
def test_notes_come_back_as_exactly_as_the_grid_allows(
    params: str, onset: float, duration: float
) -> None:
    compared = 0
    for score in scores():
        (found,) = ours(params).encode_many([score])
        if isinstance(found, Reject):
            continue
        after = notes_in_quarters(ours(params).decode(found.parts).value)
        before = notes_in_quarters(score)
        assert [note[:2] for note in after] == [note[:2] for note in before]
        for old, new in zip(before, after, strict=True):
            assert abs(old[2] - new[2]) <= onset
            assert abs(old[3] - new[3]) <= duration or old[3] > 4
            assert abs(old[4] - new[4]) <= 2
        compared += len(before)
    assert compared > 500


def test_signatures_and_tempos_come_back_where_the_class_has_them() -> None:
    for params in ("class=CPWord", "class=MMM"):
        for score in scores():
            (found,) = ours(params).encode_many([score])
            if isinstance(found, Reject):
                continue
            decoded = ours(params).decode(found.parts).value
            signatures = [(s.numerator, s.denominator) for s in score.time_signatures]
            assert [(s.numerator, s.denominator) for s in decoded.time_signatures] == signatures
            assert abs(decoded.tempos[0].qpm - score.tempos[0].qpm) < 4


def test_bars_beyond_the_vocabulary_are_cut_off_and_said() -> None:
    score = next(s for s in scores() if s.end() > 12 * s.ticks_per_quarter)
    for kind in ("Octuple", "MuMIDI"):
        (found,) = MidiTok(**parse_params(f"class={kind},bars=2")).encode_many([score])
        assert found.lossy == ("bars",)


def test_encoding_a_bar_that_changes_within_the_event() -> None:
    octuple = ours("class=Octuple")
    index = octuple.vocab.index
    event = [
        index[f"{slot}.{token}"]
        for slot, token in enumerate(
            ("Pitch_60", "Position_0", "Bar_0", "Velocity_127", "Duration_1.0.8", "Program_0")
        )
    ] + [next(i for i, kind in enumerate(octuple.vocab.types) if kind == "6.Tempo")]
    later = [index["2.Bar_1"] if id == index["2.Bar_0"] else id for id in event]
    assert octuple.bar_starts(np.array([*event, *event, *later])).tolist() == [0, 14]


@pytest.mark.parametrize(
    ("params", "spec"),
    [
        ("", "miditok"),
        ("class=TSD", "miditok"),
        ("class=Octuple,ts=0,bars=256", "miditok:class=Octuple"),
        ("class=PerTok,res=12x4+4x3,microrange=0.125", "miditok:class=PerTok"),
        ("durations=all,class=CPWord,chordroot=1", "miditok:class=CPWord"),
        ("class=MMM,base=REMI,rests=1x8+1x4+10x2", "miditok:class=MMM,rests=1"),
    ],
)
def test_equal_parameters_give_equal_specs(params: str, spec: str) -> None:
    found = MidiTok(**parse_params(params)).spec
    assert found == spec
    assert MidiTok(**parse_params(parse_spec(found).arg)).spec == spec


@pytest.mark.parametrize(
    ("params", "fact"),
    [
        ("class=REMIPlus", "no class 'REMIPlus'; known: TSD, MIDILike"),
        ("class=REMI", "that is the plugin remi"),
        ("class=CPWord,pedals=1", "class=CPWord has no parameter 'pedals'; known: res, "),
        ("class=MMM,stream=one", "class=MMM has no parameter 'stream'"),
        ("class=Octuple,durations=0-7", "durations=0-7 is not all or none"),
        ("class=Octuple,bars=0", "bars=0 is not a number in 1..4096"),
        ("class=MMM,base=PerTok", "base=PerTok is not one of REMI, TSD, MIDILike"),
        ("class=PerTok,res=4x4+4x3", "two grids of res end at the same beat"),
        ("class=PerTok,res=4x96,tpq=48", "res is finer than tpq"),
        ("class=CPWord,rests=1", "CPWord with rests needs ts=0"),
        ("tempos=1", "miditok: tempos=1 is no scale"),
    ],
)
def test_what_cannot_be_is_said(params: str, fact: str) -> None:
    with pytest.raises(MidigenError, match=fact.replace("(", r"\(")):
        MidiTok(**parse_params(params))


def test_pitches_that_are_told_by_distance_are_not_shifted() -> None:
    with pytest.raises(MidigenError, match="miditok:class=BEAT tells pitches by their distance"):
        Moves(ours("class=BEAT")).shifts(2)
    assert Moves(ours("class=Octuple")).shifts(2).steps == [-2, -1, 1, 2]


def test_every_class_names_its_parameters_once() -> None:
    for kind in KINDS.values():
        assert len(set(kind.keys)) == len(kind.keys)


CODE = """
import sys
from symusic import Score
from midigen_miditok import MidiTok
made = MidiTok(**{"class": "Octuple"})
made.decode([[0, 1, 2]])
assert "miditok" not in sys.modules
made.encode_many([Score.from_midi(sys.stdin.buffer.read())])
assert "miditok" in sys.modules and "torch" not in sys.modules
import miditok.pytorch_data
assert "torch" in sys.modules
print(miditok.pytorch_data.DatasetMIDI.__name__)
"""


def test_torch_is_left_out_until_something_else_wants_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], input=tunes()[0], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == "DatasetMIDI"
