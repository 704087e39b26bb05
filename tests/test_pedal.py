"""The sustain pedal: notes that it holds, tokens of its own, or nothing."""

import io
from pathlib import Path
from typing import Any

import mido
import orjson
import pytest
from conftest import Runner
from hypothesis import given
from hypothesis import strategies as st
from symusic import Score

from midigen.errors import MidigenError, UsageError
from midigen.pedal import SUSTAIN, extend, holds_pedal, spec_for
from midigen.registry import tokenizer

Events = list[tuple[int, mido.Message]]


def down(tick: int, value: int = 127) -> tuple[int, mido.Message]:
    return tick, mido.Message("control_change", control=SUSTAIN, value=value)


def note(start: int, end: int, pitch: int = 60, channel: int = 0) -> Events:
    on = mido.Message("note_on", note=pitch, velocity=64, channel=channel)
    return [(start, on), (end, mido.Message("note_off", note=pitch, channel=channel))]


def midi(*events: tuple[int, mido.Message]) -> bytes:
    """Return a file with one track of these events, 480 ticks a quarter."""
    file = mido.MidiFile()
    track, now = file.add_track(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def score_of(*events: tuple[int, mido.Message]) -> Any:
    return Score.from_midi(midi(*events))


def spans(score: Any) -> list[tuple[int, int, int]]:
    """Return (start, end, pitch) of all notes, sorted."""
    return sorted((n.start, n.end, n.pitch) for track in score.tracks for n in track.notes)


def test_a_note_lasts_until_the_pedal_is_released() -> None:
    held = extend(score_of(down(0), *note(10, 100), *note(50, 350, 64), down(300, 0)))
    assert spans(held) == [(10, 300, 60), (50, 350, 64)]


def test_a_note_that_ends_without_pedal_stays() -> None:
    held = extend(score_of(*note(0, 100), down(101), *note(110, 300, 62), down(300, 0)))
    assert spans(held) == [(0, 100, 60), (110, 300, 62)]


def test_the_same_pitch_beginning_anew_ends_a_held_note() -> None:
    held = extend(score_of(down(0), *note(0, 100), *note(200, 250), down(400, 63)))
    assert spans(held) == [(0, 200, 60), (200, 400, 60)]


def test_values_from_64_press_and_those_below_release() -> None:
    held = extend(score_of(down(0, 64), *note(0, 10), down(20, 90), down(30, 63), *note(40, 50)))
    assert spans(held) == [(0, 30, 60), (40, 50, 60)]


def test_pedalling_anew_at_one_tick_lets_go_what_was_held() -> None:
    held = extend(score_of(down(0), *note(0, 10), down(100, 0), down(100), *note(100, 110, 64)))
    assert spans(held)[0] == (0, 100, 60)


def test_a_pedal_that_is_never_released_holds_to_the_end() -> None:
    assert spans(extend(score_of(down(0), *note(0, 10), *note(20, 480, 62)))) == [
        (0, 480, 60),
        (20, 480, 62),
    ]


def test_drums_and_scores_without_pedal_stay_as_they_are() -> None:
    plain = score_of(*note(0, 10))
    assert extend(plain) is plain
    pressed = mido.Message("control_change", control=SUSTAIN, value=127, channel=9)
    drums = score_of((0, pressed), *note(0, 10, 36, channel=9), *note(400, 410, 38, channel=9))
    assert extend(drums) is drums


def test_the_score_that_was_read_is_not_changed_and_no_pedal_is_left() -> None:
    other = 5, mido.Message("control_change", control=7, value=9)
    score = score_of(down(0), *note(0, 10), other, down(90, 0))
    before = spans(score)
    held = extend(score)
    assert spans(score) == before != spans(held)
    (track,) = held.tracks
    assert ([c.number for c in track.controls], list(track.pedals)) == ([7], [])


def test_pedals_of_a_score_without_controls_hold_too() -> None:
    score = score_of(down(0), *note(0, 10), down(100, 0))
    score.tracks[0].controls = []
    assert spans(extend(score)) == [(0, 100, 60)]


def played(events: Events) -> list[tuple[int, int, int]]:
    """Return (start, end, pitch) as a piano would play one after another what lies in a track.

    At one tick the pedal moves first, then keys go down, then up. A key is not struck while down.
    """
    order = {"control_change": 0, "note_on": 1, "note_off": 2}
    pressed, keys, sounding = False, dict[int, int](), dict[int, tuple[int, int]]()
    done = []
    for tick, message in sorted(events, key=lambda e: (e[0], order[e[1].type])):
        if message.type == "control_change":
            if pressed and message.value < 64:
                done += [(start, tick, pitch) for pitch, (start, _) in sounding.items()]
                sounding.clear()
            pressed = message.value >= 64
        elif message.type == "note_on":
            if message.note in sounding:
                done.append((sounding.pop(message.note)[0], tick, message.note))
            keys[message.note] = tick
        elif pressed:
            sounding[message.note] = (keys[message.note], tick)
        else:
            done.append((keys[message.note], tick, message.note))
    last = max((tick for tick, message in events if message.type == "note_off"), default=0)
    return sorted(done + [(start, last, pitch) for pitch, (start, _) in sounding.items()])


@st.composite
def performances(draw: st.DrawFn) -> Events:
    """Some notes of three pitches, none over another of its pitch, and movements of a pedal."""
    events: Events = []
    for pitch in (60, 61, 62):
        ticks = draw(st.lists(st.integers(1, 60), max_size=8).filter(lambda x: len(x) % 2 == 0))
        places = [sum(ticks[: i + 1]) for i in range(len(ticks))]
        for start, end in zip(places[::2], places[1::2], strict=True):
            events += note(start, end, pitch)
    ticks = draw(st.lists(st.integers(0, 240), max_size=8, unique=True))
    return events + [down(tick, draw(st.integers(0, 127))) for tick in sorted(ticks)]


@given(performances())
def test_it_is_what_a_piano_plays(events: Events) -> None:
    score = score_of(*events)
    assert spans(extend(score)) == played(events)


def test_the_spec_says_it_and_the_vocabulary_is_the_same() -> None:
    plain, held = tokenizer("remi:velocities=16"), tokenizer("remi:pedal=extend,velocities=16")
    assert held.spec == "remi:pedal=extend,velocities=16"
    assert held.vocab.fingerprint == plain.vocab.fingerprint
    assert tokenizer("remi:pedal=drop").spec == "remi"
    score = score_of(down(0), *note(0, 240), down(960, 0), *note(1920, 2400, 64))
    (ids,) = held.encode(score).parts
    assert ids.tolist() == plain.encode(extend(score)).parts[0].tolist()
    assert ids.tolist() != plain.encode(score).parts[0].tolist()
    assert held.encode_many([score])[0].parts[0].tolist() == ids.tolist()
    assert spans(held.decode([ids]).value) == spans(plain.decode([ids]).value)
    assert held.bar_starts(ids).tolist() == plain.bar_starts(ids).tolist()


@pytest.mark.parametrize("spec", ["remi:pedals=1", "remi:controls=7+64", "events", "text"])
def test_extending_is_refused_where_it_has_no_meaning(spec: str) -> None:
    with pytest.raises(MidigenError, match="pedal=extend"):
        tokenizer(f"{spec}{',' if ':' in spec else ':'}pedal=extend")
    with pytest.raises(MidigenError, match="not extend or drop"):
        tokenizer("remi:pedal=up")


def test_vocabularies_that_hold_the_pedal_are_known() -> None:
    held = {"remi:pedals=1", "remi:pedals=duration", "remi:controls=64", "events"}
    for spec in {*held, "remi", "remi:controls=7+63"}:
        assert holds_pedal(tokenizer(spec).vocab) == (spec in held), spec


def test_tokens_are_asked_for_where_there_are_any() -> None:
    assert spec_for("remi:rests=1", "token") == "remi:pedals=1,rests=1"
    assert spec_for("remi:pedals=duration", "token") == "remi:pedals=duration"
    assert spec_for("events", "token") == "events"
    assert spec_for("remi:rests=1", "drop") == "remi:rests=1"
    assert spec_for("remi:rests=1", "extend") == "remi:pedal=extend,rests=1"
    with pytest.raises(UsageError, match="barnote has no tokens for it"):
        spec_for("barnote", "token")
    with pytest.raises(UsageError, match="not one of extend, token, drop"):
        spec_for("remi", "up")
    for spec in ("pitch:@", "package.module:Object", "a/b.tok.json"):
        with pytest.raises(UsageError, match="no parameters"):
            spec_for(spec, "extend")


@pytest.fixture
def pedalled(tmp_path: Path) -> Path:
    path = tmp_path / "pedal.mid"
    path.write_bytes(midi(down(0), *note(0, 240), down(960, 0), *note(1920, 2400, 64)))
    return path


@pytest.mark.parametrize(
    ("way", "spec", "notes"),
    [
        ("drop", "remi", [(0, 240, 60), (1920, 2400, 64)]),
        ("extend", "remi:pedal=extend", [(0, 960, 60), (1920, 2400, 64)]),
        ("token", "remi:pedals=1", [(0, 240, 60), (1920, 2400, 64)]),
    ],
)
def test_midi2tok_does_as_it_is_told(
    run: Runner, pedalled: Path, way: str, spec: str, notes: list[Any]
) -> None:
    made = run("midi2tok", "--pedal", way, pedalled)
    assert orjson.loads(made.out)["tok"].partition("#")[0] == spec
    back: Any = Score.from_midi(run("tok2midi", stdin=made.out).out)
    assert spans(back) == notes
    if way == "token":
        assert [(p.time, p.duration) for p in back.tracks[0].pedals] == [(0, 960)]


def test_a_way_that_cannot_be_is_a_usage_error(run: Runner, pedalled: Path) -> None:
    assert "not one of extend" in run("midi2tok", "--pedal", "up", pedalled, code=2).err
    refused = run("midi2tok", "--pedal", "extend", "-m", "some.model", pedalled, code=None)
    assert refused.code in (1, 2)
    assert refused.err.count("\n") == 1
