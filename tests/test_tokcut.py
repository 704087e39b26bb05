"""tokcut: the installed command, and the cuts behind it."""

from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, Runner
from hand_records import bar_words, lines_of, piece, read_lines, record_of, words_of
from hypothesis import given
from hypothesis import strategies as st
from symusic import ControlChange, Note, Pedal, PitchBend, Score, Tempo, TimeSignature, Track
from symusic import KeySignature as Signature
from tokenizer_laws import essence

from midigen.barlines import bar_line
from midigen.cutting import Cut, read_bars, read_merge, read_programs, read_target, read_tracks
from midigen.decoding import Tokenizers
from midigen.errors import Reject, UsageError
from midigen.excerpt import excerpt
from midigen.keys import Key, read_key
from midigen.measure import measure
from midigen.pieces import Piece, pieces
from midigen.reduction import reduced
from midigen.registry import tokenizer
from midigen.store import piece_key
from midigen.tonality import find_key
from midigen.transposing import found_key, nearest_shift, transposed
from midigen.twins import Twins

C = Key(0, False)


def score_of(*tracks: Any, tpq: int = 4) -> Any:
    score = Score(tpq)
    score.tracks = list(tracks)
    return score


def track_of(*notes: tuple[int, int, int], program: int = 0, drums: bool = False) -> Any:
    """Return a track of notes (onset, duration, pitch)."""
    track = Track("", program, drums)
    track.notes = [Note(time, duration, pitch, 64) for time, duration, pitch in notes]
    return track


def spans(track: Any) -> list[tuple[int, int, int]]:
    return sorted((note.time, note.duration, note.pitch) for note in track.notes)


def test_notes_belong_to_the_bar_in_which_they_begin_and_end_with_the_last() -> None:
    score = score_of(track_of((0, 20, 60), (16, 4, 62), (31, 1, 64), (31, 9, 65), (32, 4, 67)))
    (cut,) = excerpt(score, 2, 2).tracks
    assert spans(cut) == [(0, 4, 62), (15, 1, 64), (15, 1, 65)]


def test_what_is_in_force_comes_along() -> None:
    track = track_of((40, 4, 60), (60, 4, 62))
    track.controls = [ControlChange(0, 7, 90), ControlChange(8, 7, 80), ControlChange(8, 10, 3)]
    track.controls.append(ControlChange(50, 7, 70))
    track.pitch_bends = [PitchBend(4, 100), PitchBend(34, 0)]
    track.pedals = [Pedal(0, 8), Pedal(20, 30), Pedal(46, 4), Pedal(60, 10)]
    score = score_of(track)
    score.tempos = [Tempo(0, mspq=500_000), Tempo(20, mspq=400_000), Tempo(40, mspq=300_000)]
    score.time_signatures = [TimeSignature(0, 4, 4), TimeSignature(16, 3, 4)]
    score.key_signatures = [Signature(0, 1, 0), Signature(28, -1, 1), Signature(80, 2, 0)]
    # Bars: 0 to 16, then of 12: 16, 28, 40, 52. Bars 3 and 4 are 28 to 52.
    cut = excerpt(score, 3, 4)
    assert [(t.time, t.mspq) for t in cut.tempos] == [(0, 400_000), (12, 300_000)]
    assert [(s.time, s.numerator) for s in cut.time_signatures] == [(0, 3)]
    assert [(k.time, k.key, k.tonality) for k in cut.key_signatures] == [(0, -1, 1)]
    (found,) = cut.tracks
    assert spans(found) == [(12, 4, 60)]
    controls = sorted((c.time, c.number, c.value) for c in found.controls)
    assert controls == [(0, 7, 80), (0, 10, 3), (22, 7, 70)]
    assert [(b.time, b.value) for b in found.pitch_bends] == [(0, 100), (6, 0)]
    assert [(p.time, p.duration) for p in found.pedals] == [(0, 22), (18, 4)]
    assert [(t.time, t.mspq) for t in score.tempos][2] == (40, 300_000)


meters = st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 2)])


@st.composite
def scores(draw: st.DrawFn) -> Any:
    """Some bars in changing meters, with notes anywhere."""
    starts, tick = [], 0
    for above, below in draw(st.lists(meters, min_size=1, max_size=5)):
        starts.append(TimeSignature(tick, above, below))
        tick += draw(st.integers(1, 3)) * above * 16 // below
    notes = draw(
        st.lists(
            st.tuples(st.integers(0, tick + 20), st.integers(1, 30), st.integers(50, 70)),
            min_size=1,
            max_size=20,
            unique_by=lambda note: (note[0], note[2]),
        )
    )
    score = score_of(track_of(*notes))
    score.time_signatures = starts
    return score


@given(scores(), st.integers(1, 4))
def test_a_piece_cut_into_pieces_has_every_note_once(score: Any, size: int) -> None:
    bars = measure(score).n["bars"]
    found = []
    for first in range(1, bars + 1, size):
        part = excerpt(score, first, first + size - 1)
        start, end = bar_line(score, first - 1), bar_line(score, first + size - 1)
        lines = [bar_line(score, first - 1 + k) - start for k in range(size + 1)]
        assert [bar_line(part, k) for k in range(size + 1)] == lines
        for time, duration, pitch in spans(part.tracks[0]):
            assert 0 <= time < time + duration <= end - start
            found.append((time + start, pitch))
    assert sorted(found) == sorted((note.time, note.pitch) for note in score.tracks[0].notes)


@pytest.mark.parametrize(
    ("text", "bars"), [("9:16", (9, 16)), ("9:", (9, None)), (":16", (1, 16)), ("9", (9, 9))]
)
def test_bars_are_read(text: str, bars: tuple[int, int | None]) -> None:
    assert read_bars([text, "1:2"]) == (bars, (1, 2))


@pytest.mark.parametrize("text", ["", ":", "0:4", "5:4", "-3", "a", "1:b", "1:2:3", "1.5"])
def test_what_are_no_bars_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a range like"):
        read_bars([text])


def test_lists_of_tracks_and_programs_are_read() -> None:
    assert read_tracks("1,3-4") == {1, 3, 4}
    assert read_programs("0,24-31,drums") == {-1, 0, *range(24, 32)}
    assert read_programs("-1,Violin") == {-1, 40}
    for text in ("0", "3-2", "x", "", "1,,2", "1-"):
        with pytest.raises(UsageError, match="is not a list like"):
            read_tracks(text)
    for text in ("128", "9-3", "0-200", "kazoo", "1,"):
        with pytest.raises(UsageError):
            read_programs(text)
    with pytest.raises(UsageError, match="not one of program, all"):
        read_merge("both")
    with pytest.raises(UsageError, match="is not a key like"):
        read_target("H")
    assert (read_target("Eb"), read_target("c minor")) == (Key(3, False), Key(3, False))
    with pytest.raises(UsageError, match="nothing to do"):
        Cut()


TUNES = sorted((HERE / "tunes").glob("*.abc"))


@pytest.mark.parametrize("tune", TUNES, ids=lambda path: path.stem)
def test_the_key_of_a_tune_is_the_one_that_is_written_over_it(tune: Path, tunes: Path) -> None:
    written = next(x[2:].strip() for x in tune.read_text().splitlines() if x.startswith("K:"))
    found = find_key(Score(tunes / f"{tune.stem}.mid"))
    if tune.stem == "rock_beat":
        assert found is None
    else:
        # D dorian has the tonic and the third of D minor.
        assert found == read_key(written.replace("dor", "m"))


def test_a_key_is_found_wherever_the_piece_stands() -> None:
    score: Any = Score.from_midi(record_midi())
    home = find_key(score)
    assert home is not None
    for shift in range(-12, 12):
        expected = Key((home.tonic + shift) % 12, home.is_minor)
        assert find_key(transposed(score, shift)) == expected


def record_midi() -> bytes:
    from tune_reader import read_tune

    return read_tune(HERE / "tunes" / "greensleeves.abc")


def test_what_has_no_key_is_a_reject_and_drums_have_none() -> None:
    even = score_of(track_of(*((k, 1, 60 + k) for k in range(12))))
    with pytest.raises(Reject, match="key: no key fits"):
        found_key(even)
    drums = score_of(track_of((0, 1, 36), drums=True))
    assert found_key(drums) is None
    assert nearest_shift(drums, None, C, tokenizer("remi")) == 0


@pytest.mark.parametrize(
    ("key", "shift"),
    [("C", 0), ("Am", 0), ("D", -2), ("Bm", -2), ("Bb", 2), ("F#", -6), ("G", 5), ("F", -5)],
)
def test_pieces_move_the_shortest_way(key: str, shift: int) -> None:
    score = score_of(track_of((0, 4, 60)))
    found = read_key(key)
    assert nearest_shift(score, found, C, tokenizer("remi")) == shift


def test_pieces_stay_within_the_pitches_of_the_vocabulary() -> None:
    spec = tokenizer("remi:pitch=40-70")
    low, high = score_of(track_of((0, 4, 41))), score_of(track_of((0, 4, 68)))
    assert nearest_shift(low, read_key("D"), C, spec) == 10
    assert nearest_shift(high, read_key("Bb"), C, spec) == 2
    assert nearest_shift(high, read_key("A"), C, spec) == -9
    wide = score_of(track_of((0, 4, 40), (4, 4, 70)))
    assert nearest_shift(wide, C, C, spec) == 0
    with pytest.raises(Reject, match="moved by -2 from D it leaves the pitches 40"):
        nearest_shift(wide, read_key("D"), C, spec)


def test_drums_and_the_score_itself_are_not_moved() -> None:
    score = score_of(track_of((0, 4, 60)), track_of((0, 4, 36), drums=True))
    score.key_signatures = [Signature(0, 2, 0)]
    up = transposed(score, 3)
    assert [spans(track)[0][2] for track in up.tracks] == [63, 36]
    assert [k.key for k in up.key_signatures] == [-1]
    assert [spans(track)[0][2] for track in score.tracks] == [60, 36]


def test_tracks_are_merged_by_program_or_all_but_drums() -> None:
    first = track_of((0, 4, 60), (8, 4, 60))
    first.controls = [ControlChange(5, 7, 1)]
    second = track_of((0, 2, 60), (4, 4, 62))
    second.controls = [ControlChange(2, 7, 2)]
    drums = track_of((0, 1, 36), drums=True)
    violin = track_of((0, 4, 72), program=40)
    score = score_of(first, violin, drums, second)
    by_program = reduced(score, "program").tracks
    assert [(t.program, t.is_drum) for t in by_program] == [(0, False), (40, False), (0, True)]
    assert spans(by_program[0]) == [(0, 4, 60), (4, 4, 62), (8, 4, 60)]
    assert [c.value for c in by_program[0].controls] == [2, 1]
    whole = reduced(score, "all").tracks
    assert [(t.program, t.is_drum) for t in whole] == [(0, False), (0, True)]
    assert spans(whole[0]) == [(0, 4, 60), (0, 4, 72), (4, 4, 62), (8, 4, 60)]
    assert len(score.tracks) == 4


def cut(run: Runner, *args: str, records: list[Any], code: int = 0) -> list[Any]:
    return read_lines(run("tokcut", *args, stdin=lines_of(records), code=code).out)


def test_bars_of_a_record_are_its_bars(run: Runner) -> None:
    notes = [[(0, 60 + bar), (40, 40 + bar)] for bar in range(6)]
    record = record_of([word for bar in notes for word in bar_words(bar)])
    (made,) = cut(run, "--bars", "3:4", records=[record])
    # The tempo in force, 120 quarters a minute where nothing says another, stands at the start.
    words = [word for word in words_of(made) if word != "Tempo_121.29"]
    assert words == [word for bar in notes[2:4] for word in bar_words(bar)]
    assert made["cut"] == {"bars": [3, 4]}
    assert made["n"] == {"notes": 4, "bars": 2, "seconds": 2.35, "tracks": 2}
    same = ("v", "id", "group", "src", "md5", "tok", "meta", "aug")
    assert {key: made[key] for key in same} == {key: record[key] for key in same}


def test_open_ranges_go_as_far_as_the_piece(run: Runner) -> None:
    record = record_of(bar_words([(0, 60)]) * 5)
    made = cut(run, "--bars", "4:", "--bars", ":2", "--bars", "5:99", records=[record])
    assert [r["cut"]["bars"] for r in made] == [[4, 5], [1, 2], [5, 5]]
    assert [words_of(r).count("Bar_None") for r in made] == [2, 2, 1]


def test_a_cut_of_a_cut_says_both(run: Runner) -> None:
    record = record_of(bar_words([(0, 60), (40, 70)]) * 8)
    twice = cut(run, "--bars", "2:3", records=cut(run, "--bars", "5:8", records=[record]))
    assert twice[0]["cut"] == {"bars": [2, 3], "of": {"bars": [5, 8]}}
    assert twice[0]["n"]["bars"] == 2


def test_tracks_and_programs_are_chosen(run: Runner) -> None:
    record = record_of(bar_words([(0, 60), (40, 70), (-1, 36)]) * 2)

    def sounding(*args: str) -> list[int]:
        (made,) = cut(run, *args, records=[record])
        return sorted({int(w.removeprefix("Program_")) for w in words_of(made) if "Program" in w})

    assert sounding("--program", "drums,0") == [-1, 0]
    assert sounding("--program", "24-47") == [40]
    assert sounding("--tracks", "1,3") == [-1, 0]
    assert sounding("--tracks", "2-9", "--program", "strings") == [40]
    (made,) = cut(run, "--tracks", "2", "--program", "40", records=[record])
    assert made["cut"] == {"tracks": [2], "programs": [40]}
    assert made["n"]["tracks"] == 1


def test_meta_key_is_believed_and_moves_along(run: Runner) -> None:
    notes = bar_words([(0, 62), (0, 66), (0, 69), (-1, 36)])
    records = [record_of(notes, meta={"key": key}) for key in ("D", "b minor", "F:maj")]
    made = cut(run, "--transpose-to", "C", records=records)
    assert [r["cut"] for r in made] == [
        {"transpose": -2, "key": "D"},
        {"transpose": -2, "key": "Bm"},
        {"transpose": -5, "key": "F"},
    ]
    assert [r["meta"]["key"] for r in made] == ["C", "a minor", "C:maj"]
    pitches = [[w for w in words_of(r) if w.startswith("Pitch")] for r in made]
    assert pitches[0] == pitches[1] == ["Pitch_60", "Pitch_64", "Pitch_67", "PitchDrum_36"]


def test_tunes_come_to_c_or_a_minor(run: Runner, tunes: Path) -> None:
    records = run("midi2tok", tunes).out
    made = read_lines(run("tokcut", "--transpose-to", "C", stdin=records).out)
    assert len(made) == len(TUNES)
    keys = []
    for record in made:
        score = Tokenizers().of(record["tok"]).decode([record["ids"]]).value
        keys.append(found_key(score))
        assert "key" not in record["meta"]
        assert record["cut"].get("key") is not None or keys[-1] is None
    assert {str(key) for key in keys} == {"C", "Am", "None"}


def test_merging_makes_fewer_tracks(run: Runner) -> None:
    record = record_of(bar_words([(0, 60), (40, 70), (-1, 36), (41, 50)]) * 2)
    (made,) = cut(run, "--merge", "all", records=[record])
    programs = [word for word in words_of(made) if word.startswith("Program")]
    assert programs == ["Program_0", "Program_0", "Program_-1", "Program_0"] * 2
    assert (made["n"]["tracks"], made["cut"]) == (2, {"merge": "all"})


def test_records_of_single_tracks_are_cut_together(run: Runner) -> None:
    record = record_of(bar_words([(0, 60), (40, 70), (-1, 36)]) * 4)
    parts = run("tok2tok", "--tokenizer", "remi:programs=0", stdin=lines_of([record])).out
    made = read_lines(run("tokcut", "--bars", "2:3", "--program", "0,40", stdin=parts).out)
    assert [(r["part"], r["meta"]["program"]) for r in made] == [([0, 2], 0), ([1, 2], 40)]
    assert [r["id"] for r in made] == [f"{record['id']}.0", f"{record['id']}.1"]
    assert [r["n"]["notes"] for r in made] == [2, 2]
    # Joined again they are the cut of the whole.
    joined = run("tok2tok", "--tokenizer", "remi", stdin=lines_of(made)).out
    (straight,) = cut(run, "--bars", "2:3", "--program", "0,40", records=[record])
    assert read_lines(joined)[0]["ids"] == straight["ids"]


@pytest.mark.parametrize("spec", ["events", "barnote", "pitch", "miditok:class=Octuple"])
def test_cuts_of_every_kind_decode_to_what_they_should(run: Runner, tunes: Path, spec: str) -> None:
    records = run("midi2tok", "--tokenizer", spec, tunes / "kesh_jig.mid").out
    (made,) = read_lines(run("tokcut", "--bars", "3:6", stdin=records).out)
    heard = [
        essence(Tokenizers().of(r["tok"]).decode([r["ids"]]).value)["tracks"]
        for r in (*read_lines(records), made)
    ]
    whole = Tokenizers().of(made["tok"]).decode([read_lines(records)[0]["ids"]]).value
    assert heard[1] == essence(excerpt(whole, 3, 6))["tracks"]
    assert len(heard[1][0][1]) < len(heard[0][0][1])


def test_what_is_left_of_nothing_is_a_reject(run: Runner) -> None:
    made = run(
        *("tokcut", "--bars", "9:12", "--rejects", "bad.jsonl"),
        stdin=lines_of([record_of(bar_words([(0, 60)]) * 10), piece(0)]),
    )
    assert len(made.lines) == 1
    (reject,) = read_lines((run.folder / "bad.jsonl").read_bytes())
    assert reject == {
        "src": "<stdin>:2",
        "reason": "no_notes",
        "detail": "nothing sounds in bars 9 to 9",
        "id": piece(0)["id"],
    }
    none = run("tokcut", "--program", "kalimba", stdin=lines_of([piece(0)]), code=1)
    assert "1 rejected (1 no_notes)" in none.err
    strict = run("tokcut", "--bars", "90:", "--strict", stdin=lines_of([piece(0)]), code=1)
    assert "<stdin>:1: no_notes: nothing sounds in bars 90 to 90" in strict.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "nothing to do: give --bars"),
        (("--bars", "4:2"), "--bars '4:2' is not a range"),
        (("--tracks", "0"), "--tracks '0' is not a list"),
        (("--program", "kazoo"), "no program 'kazoo'"),
        (("--transpose-to", "X"), "--transpose-to 'X' is not a key"),
        (("--merge", "some"), "--merge 'some' is not one of program, all"),
    ],
)
def test_usage_errors_are_one_line(run: Runner, args: tuple[str, ...], said: str) -> None:
    result = run("tokcut", *args, stdin=lines_of([piece(0)]), code=2)
    assert said in result.err
    assert result.err.count("\n") == 1
    assert result.out == b""


def test_text_is_refused(run: Runner) -> None:
    text = run("text2tok", stdin=b"Hello.\n").out
    assert "is text, not music" in run("tokcut", "--bars", "1", stdin=text, code=1).err


def test_workers_give_the_same_cuts_in_the_same_order(run: Runner, tunes: Path) -> None:
    many = run("midi2tok", tunes).out * 4
    args = ("tokcut", "--bars", "1:2", "--bars", "3:", "--transpose-to", "G")
    assert run(*args, "-j2", stdin=many).out == run(*args, stdin=many).out


def test_cuts_of_one_piece_are_told_apart() -> None:
    one, other = (piece(0) | {"cut": {"bars": bars}} for bars in ([1, 4], [5, 8]))
    assert len({piece_key(record) for record in (piece(0), one, other)}) == 3
    twins = Twins()
    assert twins.why_not(one) is None
    assert twins.why_not(other | {"ids": piece(1)["ids"]}) is None
    parts = [
        ("", piece(0) | {"id": f"x.{k}", "part": [k, 2], "cut": {"bars": bars}})
        for bars in ([1, 4], [5, 8])
        for k in range(2)
    ]
    assert [len(found.records) for found in pieces(parts)] == [2, 2]


def test_the_key_is_that_of_the_piece_and_not_of_the_bars() -> None:
    score: Any = Score.from_midi(record_midi())
    ids = tokenizer("remi").encode(score).parts[0]
    known = {"id": "a", "tok": "remi#b64e4a10", "ids": ids, "meta": {}, "n": {}, "aug": {}}
    decoded = tokenizer("remi").decode([ids]).value
    bars = tuple((k, k) for k in range(1, 9))
    drafts = list(Cut(bars=bars, key=C)(Piece("", [known]), decoded, tokenizer("remi")))
    keys = {draft.known["cut"]["key"] for draft in drafts if not isinstance(draft, Reject)}
    assert keys == {str(find_key(decoded))}
    assert len(drafts) == 8
