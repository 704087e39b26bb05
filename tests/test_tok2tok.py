"""tok2tok: the installed command, and the records that it writes."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from conftest import Runner
from hand_records import lines_of, piece, read_lines, record_of, tok_of, unknown_tok
from tokenizer_laws import essence

from midigen.decoding import Tokenizers
from midigen.errors import MidigenError, UsageError
from midigen.pieces import Piece, pieces
from midigen.protocols import Decoded, Encoded
from midigen.rewriting import Rewriter, _results
from midigen.transcription import Transcription, summed, whole


@pytest.fixture(scope="module")
def stream(tunes: Path, bin_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of all tunes in the default vocabulary."""
    folder = tmp_path_factory.mktemp("stream")
    Runner(folder, bin_dir)("midi2tok", tunes, "-o", "tunes.jsonl", "--set", "genre=folk")
    return folder / "tunes.jsonl"


def sound(data: bytes) -> list[Any]:
    """Return what each piece of a stream decodes to."""
    tokenizers, heard = Tokenizers(), []
    for found in pieces(("", record) for record in read_lines(data)):
        ids = [record["ids"] for record in found.records]
        decoded = tokenizers.of(found.first["tok"]).decode(ids, found.programs)
        heard.append(essence(decoded.value))
    return heard


def test_to_the_same_vocabulary_it_sounds_the_same_and_then_stays(
    run: Runner, stream: Path
) -> None:
    # Notes of one onset may change places: tracks are decoded in the order of their first notes.
    again = run("tok2tok", "--tokenizer", "remi", stream).out
    assert sound(again) == sound(stream.read_bytes())
    assert run("tok2tok", "--tokenizer", "remi", stdin=again).out == again


@pytest.mark.parametrize(
    "spec", ["remi:velocities=16", "remi:programs=0,tempos=0", "miditok:class=MIDILike", "events"]
)
def test_what_it_writes_is_what_midi2tok_makes_of_the_decoded_file(
    run: Runner, stream: Path, spec: str
) -> None:
    # A track of a MIDI file cannot hold one pitch twice at a time, as the canon's violins do.
    lines = [line for line in stream.read_bytes().splitlines(True) if b"canon.mid" not in line]
    (run.folder / "some.jsonl").write_bytes(b"".join(lines))
    made = run("tok2tok", "--tokenizer", spec, "some.jsonl").out
    run("tok2midi", "some.jsonl", "-o", "midi/{n:03}.mid")
    expected = run("midi2tok", "midi", "--tokenizer", spec).out
    assert sound(made) == sound(expected)
    assert {r["tok"] for r in read_lines(made)} == {tok_of(spec)}


def test_everything_but_tok_and_ids_stays(run: Runner) -> None:
    more = {"aug": {"shift": 2}, "gen": {"seed": 1}, "cut": {"bars": [1, 2]}, "mine": {"a": [1.5]}}
    record = piece(1) | more | {"n": {"notes": 999, "bars": 7, "seconds": 1.25, "tracks": 4}}
    (made,) = read_lines(run("tok2tok", "--tokenizer", "barnote", stdin=lines_of([record])).out)
    assert made["tok"] == tok_of("barnote")
    kept = {key: value for key, value in made.items() if key not in ("tok", "ids", "meta")}
    assert kept == {k: v for k, v in record.items() if k not in ("tok", "ids", "meta")}
    assert {k: v for k, v in made["meta"].items() if k != "lossy"} == record["meta"]


def test_parts_are_written_where_the_target_has_one_sequence_a_track(run: Runner) -> None:
    made = read_lines(
        run("tok2tok", "--tokenizer", "remi:programs=0", stdin=lines_of([piece(3)])).out
    )
    assert [record["part"] for record in made] == [[0, 2], [1, 2]]
    assert [record["id"] for record in made] == [f"{piece(3)['id']}.{k}" for k in (0, 1)]
    assert sorted(record["meta"]["program"] for record in made) == [-1, 40]
    assert sum(record["n"]["notes"] for record in made) == piece(3)["n"]["notes"]
    assert {record["group"] for record in made} == {piece(3)["group"]}
    assert all(record["meta"]["artist"] == piece(3)["meta"]["artist"] for record in made)


def test_parts_are_joined_and_their_counts_add_up(run: Runner, tunes: Path) -> None:
    parts = run("midi2tok", "--tokenizer", "remi:programs=0", tunes).out
    assert b'"part":[1,' in parts
    joined = read_lines(run("tok2tok", "--tokenizer", "remi", stdin=parts).out)
    straight = read_lines(run("midi2tok", tunes).out)
    keys = ("id", "group", "md5", "tok", "meta", "n")
    assert [[r[k] for k in keys] for r in joined] == [[r[k] for k in keys] for r in straight]
    assert not any("part" in record for record in joined)


def test_parts_keep_their_counts_from_one_track_vocabulary_to_another(
    run: Runner, tunes: Path
) -> None:
    parts = run("midi2tok", "--tokenizer", "remi:programs=0", tunes).out
    spec = "remi:programs=0,velocities=8"
    made = read_lines(run("tok2tok", "--tokenizer", spec, stdin=parts).out)
    assert len(made) == len(parts.splitlines())
    for before, after in zip(read_lines(parts), made, strict=True):
        assert before["meta"]["program"] == after["meta"]["program"]
        assert (before["id"], before["n"]) == (after["id"], after["n"])


def test_the_n_of_parts_is_that_of_their_file() -> None:
    a = {"notes": 3, "bars": 4, "seconds": 2.5, "tracks": 1}
    b = {"notes": 5, "bars": 2, "seconds": 7.5, "tracks": 1}
    assert summed([a, b]) == {"notes": 8, "bars": 4, "seconds": 7.5, "tracks": 2}
    assert summed([a, {"notes": 1}]) == {"notes": 4}
    first = record_of([], part=[0, 2], n=a, meta={"program": 3, "lossy": ["x"], "genre": "pop"})
    other = record_of([], part=[1, 2], n=b, meta={"program": 4, "lossy": ["y", "x"]})
    known = whole(Piece("", [first | {"id": "a.0"}, other | {"id": "a.1"}]))
    assert (known["id"], known["n"]["notes"]) == ("a", 8)
    assert known["meta"] == {"genre": "pop", "lossy": ["x", "y"]}
    assert "part" not in known


def test_losses_are_named_counted_and_with_strict_refused(run: Runner) -> None:
    note = ["Position_0", "Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8"]
    record = record_of(
        ["Bar_None", "TimeSig_5/4", *note],
        meta={"lossy": ["before"]},
    )
    spec = "remi:ts=3/4+4/4"
    made = run("tok2tok", "--tokenizer", spec, stdin=lines_of([record]))
    assert read_lines(made.out)[0]["meta"]["lossy"] == ["before", "time_signature"]
    assert "lossy: 1 time_signature" in made.err
    refused = run("tok2tok", "--tokenizer", spec, "--strict", stdin=lines_of([record]), code=1)
    assert "<stdin>:1: lossy: the vocabulary cannot hold its time_signature" in refused.err


def test_repairs_are_counted_as_in_tok2midi(run: Runner) -> None:
    broken = record_of(["Bar_None", "TimeSig_4/4", "Position_0", "Program_0", "Pitch_60"])
    both = lines_of([broken | {"ids": piece(0)["ids"] + broken["ids"]}, piece(1)])
    made = run("tok2tok", "--tokenizer", "remi", stdin=both)
    said = run("tok2midi", "-o", "{n}.mid", stdin=both).err
    assert "; 1 repaired (1 incomplete note)" in made.err
    assert "(1 incomplete note)" in said
    assert len(made.lines) == 2


def test_what_cannot_be_used_is_a_reject_and_the_others_go_on(run: Runner) -> None:
    silent = record_of(["Bar_None", "TimeSig_4/4"], name="silent")
    far = piece(0) | {"ids": [4, 9999]}
    bad = lines_of([piece(0) | {"tok": unknown_tok()}, far, silent, piece(1)]) + b"{}\n"
    made = run("tok2tok", "--tokenizer", "remi", "--rejects", "bad.jsonl", stdin=bad)
    assert [record["id"] for record in read_lines(made.out)] == [piece(1)["id"]]
    rejects = read_lines((run.folder / "bad.jsonl").read_bytes())
    assert {r["src"]: r["reason"] for r in rejects} == {
        "<stdin>:1": "tokenizer",
        "<stdin>:2": "ids",
        "<stdin>:3": "no_notes",
        "<stdin>:5": "record",
    }
    assert "tok2tok: 2 pieces, 1 records" in made.err
    assert "4 rejected" in made.err
    assert run("tok2tok", "--tokenizer", "remi", stdin=lines_of([silent]), code=1).out == b""


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 2, "give one of --tokenizer SPEC and -m MODEL"),
        (("--tokenizer", "remi", "-m", "x"), 2, "give one of --tokenizer SPEC and -m MODEL"),
        (("--tokenizer", "rmi"), 1, "no tokenizer 'rmi'; installed: "),
        (("--tokenizer", "text"), 1, "tokenizer text reads text, not music"),
        (("--tokenizer", "remi#00000000"), 1, "the vocabulary is #"),
        (("-m", "nowhere"), 1, "nowhere does not exist"),
        (("--tokenizer", "remi", "-o", "there.jsonl"), 1, "there.jsonl exists"),
    ],
)
def test_errors_are_one_line_and_leave_nothing_behind(
    run: Runner, args: tuple[str, ...], code: int, said: str
) -> None:
    (run.folder / "there.jsonl").write_text("kept")
    result = run("tok2tok", *args, stdin=lines_of([piece(0)]), code=code)
    assert said in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in run.folder.iterdir()] == ["there.jsonl"]
    assert (run.folder / "there.jsonl").read_text() == "kept"


def test_a_models_vocabulary_is_the_target(run: Runner) -> None:
    from tiny_model import save_tiny, tiny_vocab

    save_tiny(run.folder / "m", tiny_vocab("remi:velocities=16", conditions={}))
    made = read_lines(run("tok2tok", "-m", "m", stdin=lines_of([piece(0)])).out)
    assert made[0]["tok"] == tok_of("remi:velocities=16")


def test_text_is_refused_as_a_source(run: Runner) -> None:
    text = run("text2tok", stdin=b"Hello.\n").out
    refused = run("tok2tok", "--tokenizer", "remi", stdin=text, code=1)
    assert "is text, not music" in refused.err


def test_workers_give_the_same_records_in_the_same_order(run: Runner, stream: Path) -> None:
    many = b"".join(stream.read_bytes() for _ in range(6))
    args = ("tok2tok", "--tokenizer", "remi:programs=0")
    assert run(*args, "-j", "2", stdin=many).out == run(*args, stdin=many).out


def test_a_closed_pipe_and_a_full_disk_are_quiet(run: Runner, stream: Path) -> None:
    many = b"".join(stream.read_bytes() for _ in range(20))
    result = run.shell("set +o pipefail; tok2tok --tokenizer remi | head -n 2", stdin=many)
    assert (len(result.lines), result.err) == (2, "")
    if Path("/dev/full").exists():
        full = run.shell("tok2tok --tokenizer remi > /dev/full", stdin=many, code=1)
        assert full.err.splitlines()[-1].endswith("No space left on device")


class Fragile:
    """A tokenizer whose decoder dies of one piece."""

    spec, medium, unit = "fragile", "score", 1

    def __init__(self) -> None:
        from midigen.registry import tokenizer

        self.inner = tokenizer("remi")
        self.vocab = self.inner.vocab

    def decode(self, parts: Any, programs: Any = None) -> Decoded:
        if parts[0][-1] == 0:
            import os

            os._exit(3)
        found: Decoded = self.inner.decode(parts, programs)
        return found

    def encode(self, x: Any) -> Encoded:
        found: Encoded = self.inner.encode(x)
        return found


class FragileOnly:
    """In the place of `Tokenizers`."""

    def of(self, tok: str) -> Fragile:
        return Fragile()


def test_a_piece_that_kills_its_worker_costs_that_piece_alone() -> None:
    deadly = piece(1) | {"ids": [*piece(1)["ids"], 0]}
    chunk = [Piece(f"a:{k}", [r]) for k, r in enumerate([piece(0), deadly, piece(2)])]
    rewriter = Rewriter(Transcription("remi"), FragileOnly())  # type: ignore[arg-type]
    done = list(_results(chunk, rewriter, 2))
    ids = [orjson.loads(line)["id"] for part in done for line in part.data.splitlines()]
    assert ids == [piece(0)["id"], piece(2)["id"]]
    rejects = [reject for part in done for reject in part.rejects]
    assert [(where, reason, id) for where, reason, _, id in rejects] == [
        ("a:1", "crash", deadly["id"])
    ]


def test_rewriters_travel_to_workers_that_are_no_forks() -> None:
    import pickle

    rewriter = Rewriter(Transcription("remi:velocities=16"), Tokenizers(), strict=True)
    copied = pickle.loads(pickle.dumps(rewriter))
    chunk = [Piece("x", [piece(3)])]
    assert copied(chunk).data == rewriter(chunk).data
    assert json.loads(copied(chunk).data)["tok"] == tok_of("remi:velocities=16")


def test_a_transcription_needs_one_target() -> None:
    with pytest.raises(UsageError):
        Transcription()
    with pytest.raises(MidigenError, match="reads text"):
        Transcription("text")
