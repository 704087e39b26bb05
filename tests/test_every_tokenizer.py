"""Laws that every installed tokenizer keeps."""

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_laws import (
    SPECS,
    encoded,
    essence,
    inputs,
    is_music,
    parts,
    refusal,
    size,
    tokenizer,
    walks,
)

from midigen.augment import Change, Part, Plan
from midigen.barlines import bar_line
from midigen.content import Content
from midigen.cutting import Cut
from midigen.decoding import Tokenizers
from midigen.errors import MidigenError
from midigen.keys import shift_fifths
from midigen.parts import records_of
from midigen.pieces import Piece
from midigen.protocols import Decoded, Grammar, Tokenizer
from midigen.record import Record
from midigen.rewriting import Rewriter
from midigen.tokenizers import tok_of, tokenizer_of
from midigen.transcription import Transcription

VOICED = ("pitch",)
"""Tokenizers whose chords are sets of pitch classes: decoding finds their octaves."""

every = pytest.mark.parametrize("spec", SPECS)
music = pytest.mark.parametrize("spec", [spec for spec in SPECS if spec != "text"])


@every
def test_it_is_a_tokenizer_and_its_spec_builds_it_again(spec: str) -> None:
    found = tokenizer(spec)
    assert isinstance(found, Tokenizer)
    assert isinstance(found.grammar(), Grammar)
    again = tokenizer(found.spec)
    assert (again.spec, again.vocab) == (found.spec, found.vocab)
    assert len(found.vocab) > 2
    assert found.unit >= 1


@every
def test_what_is_read_gives_ids_that_the_grammar_accepts(spec: str) -> None:
    found = tokenizer(spec)
    assert len(encoded(spec)) >= len(inputs(spec)) - 1 > 10
    for ids in parts(spec):
        assert len(ids) > 0
        assert ids.min() >= 0
        assert ids.max() < len(found.vocab)
        assert len(ids) % found.unit == 0
        assert refusal(spec, ids.tolist()) == ""


@every
def test_what_was_encoded_decodes_without_repair_and_then_stays_the_same(spec: str) -> None:
    found = tokenizer(spec)
    sizes = []
    for result in encoded(spec):
        first = found.decode(result.parts, result.programs)
        assert first.repairs == {}
        again = found.encode(first.value)
        second = found.decode(again.parts, again.programs)
        assert second.repairs == {}
        assert essence(second.value) == essence(first.value)
        sizes.append(size(first.value))
    assert min(sizes) > 0


@every
def test_scores_are_left_as_they_are(spec: str) -> None:
    if is_music(spec):
        score = inputs(spec)[0]
        before = essence(score)
        tokenizer(spec).encode(score)
        assert essence(score) == before


@every
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_ids_decode(spec: str, data: st.DataObject) -> None:
    found = tokenizer(spec)
    ids = st.lists(st.integers(0, len(found.vocab) - 1), max_size=50)
    drawn = data.draw(st.lists(ids, min_size=1, max_size=3))
    programs = data.draw(st.sampled_from([None, list(range(-1, len(drawn) - 1))]))
    decoded = found.decode(drawn, programs)
    assert size(decoded.value) >= 0
    assert all(type(count) is int and count > 0 for count in decoded.repairs.values())


@every
def test_long_random_ids_decode_and_have_bars_in_order(spec: str) -> None:
    found = tokenizer(spec)
    rng = np.random.default_rng(3)
    for length in (0, 1, 2, 7, 64, 333, 2000):
        ids = rng.integers(0, len(found.vocab), length)
        assert size(found.decode([ids]).value) >= 0
        starts = found.bar_starts(ids)
        assert (np.diff(starts) > 0).all()
        assert len(starts) == 0 or (starts[0] >= 0 and starts[-1] < length)


@every
def test_bars_of_what_was_read_begin_events_in_order(spec: str) -> None:
    found = tokenizer(spec)
    counts = []
    for ids in parts(spec):
        starts = found.bar_starts(ids)
        assert (np.diff(starts) > 0).all()
        assert (starts % found.unit == 0).all()
        assert len(starts) == 0 or (starts[0] >= 0 and starts[-1] < len(ids))
        counts.append(len(starts))
    # A tokenizer either knows bars or does not.
    assert min(counts) > 0 or max(counts) == 0


@every
@pytest.mark.parametrize("merges", [False, True], ids=["base", "merges"])
def test_sequences_sampled_under_the_grammar_need_no_repair(spec: str, merges: bool) -> None:
    found = tokenizer(spec)
    sizes = []
    for ids in walks(spec, [200, 800, 1400, 2000], 1, merges=merges):
        assert refusal(spec, ids) == ""
        decoded = found.decode([ids])
        assert decoded.repairs == {}
        sizes.append(size(decoded.value))
    assert np.mean(sizes) > 20


@every
def test_the_shortest_end_is_an_end(spec: str) -> None:
    rules = tokenizer(spec).grammar()
    rng = np.random.default_rng(4)
    state = rules.start()
    for _ in range(120):
        behind = state
        closing = rules.closing(state)
        for id in closing:
            assert not rules.accepting(behind)
            assert rules.mask(behind)[id]
            behind = rules.step(behind, id)
        assert rules.accepting(behind)
        allowed = np.flatnonzero(rules.mask(state))
        assert len(allowed) > 0
        state = rules.step(state, int(rng.choice(allowed)))


def records(spec: str) -> list[list[Record]]:
    """Return the records of every tune, each as a list of its parts."""
    found, made = tokenizer(spec), []
    for k, result in enumerate(encoded(spec)):
        score = found.decode(result.parts, result.programs).value
        known = {"id": f"{k:016x}", "tok": tok_of(found), "meta": {}, "n": {}, "aug": {}}
        made.append(records_of(known, result, score))
    return made


def decoded(parts: list[Record]) -> Decoded:
    """Return what the records of a tune decode to."""
    piece = Piece("", parts)
    return tokenizer_of(piece.first["tok"]).decode([r["ids"] for r in parts], piece.programs)


def moved(spec: str, value: Any, shift: int) -> Any:
    """Return the essence of a score with its notes transposed, as far as the vocabulary says it."""
    found, octave = essence(value), 12 if spec in VOICED else 1000
    for program, notes, *_ in found["tracks"]:
        here = shift if program >= 0 else 0
        notes[:] = sorted((t, (pitch + here) % octave, d, v) for t, pitch, d, v in notes)
    found["keys"] = [(t, shift_fifths(key, shift), minor) for t, key, minor in found["keys"]]
    return found | {"tracks": sorted(found["tracks"])}


@music
@pytest.mark.parametrize("shift", [-2, 3])
def test_transposed_copies_sound_as_they_say(spec: str, shift: int) -> None:
    plan, heard = Plan(shift=3, copies=None), 0
    if getattr(tokenizer(spec), "relative", False):
        with pytest.raises(MidigenError, match="tells pitches by their distance"):
            [Part(record, plan) for parts_of_tune in records(spec) for record in parts_of_tune]
        return
    for parts_of_tune in records(spec):
        copies = [Part(record, plan) for record in parts_of_tune]
        steps, fit = zip(*(copy.shifts() for copy in copies), strict=True)
        if not np.all(fit, axis=0)[steps[0].index(shift)]:
            continue
        original = decoded(parts_of_tune)
        copy = decoded([part.changed(Change(shift, 0)) for part in copies])
        assert copy.repairs == {}
        assert moved(spec, copy.value, 0) == moved(spec, original.value, shift)
        heard += 1
    assert heard > 10


@music
def test_louder_copies_are_louder_and_nothing_else(spec: str) -> None:
    plan, heard = Plan(velocity=2, copies=None), 0
    for parts_of_tune in records(spec):
        try:
            copies = [Part(record, plan) for record in parts_of_tune]
        except MidigenError as error:
            assert (
                str(error) == f"{tokenizer(spec).spec} has no velocities that --velocity could move"
            )
            assert not any("velocity" in kind.lower() for kind in tokenizer(spec).vocab.types)
            return
        before = essence(decoded(parts_of_tune).value)
        louder = decoded([part.changed(Change(0, 2)) for part in copies])
        assert louder.repairs == {}
        after = essence(louder.value)
        for (program, notes, *rest), (same, others, *equal) in zip(
            before["tracks"], after["tracks"], strict=True
        ):
            assert (program, rest) == (same, equal)
            assert [note[:3] for note in notes] == [note[:3] for note in others]
            assert all(b[3] >= a[3] for a, b in zip(notes, others, strict=True))
            heard += sum(b[3] > a[3] for a, b in zip(notes, others, strict=True))
    assert heard > 1000


@music
def test_the_programs_that_filters_see_are_those_that_sound(spec: str) -> None:
    content = Content.of(tok_of(tokenizer(spec)))
    answers = []
    for parts_of_tune in records(spec):
        seen = [content.programs(record) for record in parts_of_tune]
        score = decoded(parts_of_tune).value
        sounding = {-1 if t.is_drum else t.program for t in score.tracks if t.note_num()}
        answers.append(None not in seen)
        if None not in seen:
            assert frozenset().union(*seen) == sounding
            drums = [content.drums(record) for record in parts_of_tune]
            assert any(drums) == (-1 in sounding)
    # A vocabulary says it of every piece or of none.
    assert len(set(answers)) == 1


@music
def test_the_signatures_that_filters_see_are_those_in_force(spec: str) -> None:
    content = Content.of(tok_of(tokenizer(spec)))
    for parts_of_tune in records(spec):
        seen = frozenset().union(*(content.signatures(record) for record in parts_of_tune))
        score = decoded(parts_of_tune).value
        assert not seen or seen == {f"{s.numerator}/{s.denominator}" for s in score.time_signatures}


@music
def test_cut_bars_are_what_stands_in_them(spec: str) -> None:
    rewriter, kept = Rewriter(Cut(bars=((2, 4),)), Tokenizers()), 0
    for parts_of_tune in records(spec):
        whole = decoded(parts_of_tune).value
        done = rewriter([Piece("", parts_of_tune)])
        cut = [orjson.loads(line) for line in done.data.splitlines()]
        assert (done.pieces, done.repaired) == (1, 0)
        assert len(cut) == done.records
        if not cut:
            assert [reject[1] for reject in done.rejects] == ["no_notes"]
            continue
        found = decoded(cut)
        assert found.repairs == {}
        onsets = [note.time for track in whole.tracks for note in track.notes]
        start, end = bar_line(whole, 1), bar_line(whole, 4)
        assert found.value.note_num() == sum(start <= onset < end for onset in onsets)
        kept += 1
    assert kept > 10


@music
def test_records_go_to_remi_and_come_back(spec: str) -> None:
    there = Rewriter(Transcription("remi:velocities=127"), Tokenizers())
    back = Rewriter(Transcription(tokenizer(spec).spec), Tokenizers())
    same = 0
    for parts_of_tune in records(spec):
        (other,) = [orjson.loads(x) for x in there([Piece("", parts_of_tune)]).data.splitlines()]
        assert other["tok"].startswith("remi:velocities=127#")
        done = back([Piece("", [other])])
        again = [orjson.loads(line) for line in done.data.splitlines()]
        assert {record["tok"] for record in again} == {tok_of(tokenizer(spec))}
        assert (done.repaired, done.rejects) == (0, [])
        first, second = decoded(parts_of_tune).value, decoded(again).value
        same += pitches(first) == pitches(second)
    assert same >= len(encoded(spec)) - 2


def pitches(score: Any) -> Counter[tuple[int, int]]:
    """Return how often each program plays each pitch."""
    return Counter(
        (-1 if track.is_drum else track.program, note.pitch)
        for track in score.tracks
        for note in track.notes
    )


def test_text_has_no_pitches_programs_or_bars() -> None:
    (record,) = records("text")[0]
    for plan, what in ((Plan(shift=1), "pitches"), (Plan(velocity=1), "velocities")):
        with pytest.raises(MidigenError, match=f"text has no {what} that --"):
            Part(record, plan)
    content = Content.of(record["tok"])
    assert (content.programs(record), content.drums(record)) == (None, None)
    with pytest.raises(MidigenError, match="is text, not music"):
        Tokenizers().of(record["tok"])
    with pytest.raises(MidigenError, match="reads text, not music"):
        Transcription("text")
