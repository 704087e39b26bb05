"""MidiTok's tokenizer.json: read as a tokenizer, found for records, written for MidiTok."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import miditok
import numpy as np
import pytest
from conftest import Runner
from midigen_miditok import MidiTok
from miditok_pairs import SONG, UNSIGNED, without_repeats
from remi_walks import accepts, content, sampled, spoiled
from symusic import Score
from tokenizer_laws import tunes

from midigen import registry
from midigen.definitions import tokenizer_of_file
from midigen.errors import MidigenError
from midigen.exports import write_exports
from midigen.merges import breaks_of, learn
from midigen.modelvocab import ModelVocab
from midigen.protocols import Encoded
from midigen.tokenizers import tok_of

OWN_SPECIALS = {"special_tokens": ["PAD", "BOS", "EOS", "SEP", "Genre_rock"]}
CHORDS = {"use_chords": True, "chord_tokens_with_root_note": True}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "REMI as it comes": ("REMI", {}),
    "REMI of ours": ("REMI", SONG),
    "REMI with other special tokens": ("REMI", SONG | OWN_SPECIALS | {"use_rests": True}),
    "REMI with chords of its own": (
        "REMI",
        SONG | OWN_SPECIALS | CHORDS | {"chord_maps": {"power": (0, 7), "maj": (0, 4, 7)}},
    ),
    "REMI with numbered bars": ("REMI", SONG | {"max_bar_embedding": 300}),
    "REMI with ends of bars": ("REMI", SONG | {"use_bar_end_tokens": True}),
    "REMI with ends of bars and rests": (
        "REMI",
        UNSIGNED | {"use_bar_end_tokens": True, "use_rests": True, "use_tempos": False},
    ),
    "REMI with trailing bars": ("REMI", SONG | {"add_trailing_bars": True}),
    "REMI with attribute controls": (
        "REMI",
        {"use_programs": True, "one_token_stream_for_programs": False, "ac_polyphony_bar": True},
    ),
    "TSD": ("TSD", SONG | OWN_SPECIALS),
    "TSD with all": ("TSD", SONG | CHORDS | OWN_SPECIALS | {"use_pitch_bends": True}),
    "MIDILike": ("MIDILike", SONG | OWN_SPECIALS),
    "Structured": ("Structured", {"use_programs": True}),
    "CPWord": ("CPWord", UNSIGNED | OWN_SPECIALS | {"use_chords": True}),
    "Octuple": ("Octuple", UNSIGNED | OWN_SPECIALS | {"max_bar_embedding": 100}),
    "MuMIDI": ("MuMIDI", UNSIGNED | OWN_SPECIALS | {"max_bar_embedding": 100}),
    "MMM": ("MMM", SONG | OWN_SPECIALS | CHORDS | {"base_tokenizer": "REMI"}),
    "MMM on TSD": ("MMM", SONG | OWN_SPECIALS | CHORDS | {"base_tokenizer": "TSD"}),
    "BEAT": ("BEAT", SONG | OWN_SPECIALS),
    "PerTok": (
        "PerTok",
        UNSIGNED
        | OWN_SPECIALS
        | {"beat_res": {(0, 16): 4, (0, 4): 3}, "ticks_per_quarter": 220}
        | {"use_microtiming": False, "max_microtiming_shift": 0.1, "use_position_toks": True},
    ),
}
every = pytest.mark.parametrize("name", MADE)


def made(name: str) -> Any:
    kind, arguments = MADE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(miditok, kind)(miditok.TokenizerConfig(**arguments))


def flat_ids(theirs: Any, sequence: Any) -> list[int]:
    """Return a sequence of MidiTok's as one list: ids of slot k behind those of slot k - 1."""
    if not isinstance(theirs.vocab, list):
        return list(sequence.ids)
    offsets = np.cumsum([0, *map(len, theirs.vocab[:-1])])
    events = [event + [0] * (len(offsets) - len(event)) for event in sequence.ids]
    return [int(id) for event in events for id in np.array(event) + offsets]


@every
def test_the_tokenizer_of_a_file_has_the_ids_of_miditok(name: str, tmp_path: Path) -> None:
    theirs = made(name)
    theirs.save(tmp_path / "tokenizer.json")
    found = tokenizer_of_file(tmp_path / "tokenizer.json")
    assert found.spec == "miditok:@"
    grammar = found.grammar()
    for data in tunes()[:6]:
        (ours,) = found.encode_many([Score.from_midi(data)])
        if not isinstance(ours, Encoded):
            assert ours.reason == "no_notes"
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sequences = theirs.encode(Score.from_midi(data))
        expected = sequences if isinstance(sequences, list) else [sequences]
        assert [part.tolist() for part in ours.parts] == [flat_ids(theirs, s) for s in expected]
        assert all(accepts(grammar, part.tolist()) for part in ours.parts)
        decoded = found.decode(ours.parts, ours.programs)
        assert decoded.repairs == {}
        assert decoded.value.note_num() > 0


@every
def test_a_definition_rebuilds_the_tokenizer(name: str, tmp_path: Path) -> None:
    made(name).save(tmp_path / "tokenizer.json")
    first = tokenizer_of_file(tmp_path / "tokenizer.json")
    again = MidiTok.from_definition(json.loads(json.dumps(first.definition)))
    assert (again.vocab, again.unit, again.spec) == (first.vocab, first.unit, first.spec)
    assert again.definition == first.definition
    assert again.remarks == ()
    rng = np.random.default_rng(1)
    grammar = again.grammar()
    for length in (1, 5, 20, 100, 300):
        ids = sampled(grammar, rng, length)
        assert first.decode([ids]).repairs == {}
        broken = spoiled(ids, len(again.vocab), rng)
        assert not broken or accepts(grammar, broken) == (first.decode([broken]).repairs == {})
    for length in (0, 1, 2, 50, 300):
        again.decode([rng.integers(0, len(again.vocab), length)])


def test_merges_of_a_file_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    files = []
    for k, data in enumerate(tunes()):
        files.append(tmp_path / f"{k}.mid")
        files[-1].write_bytes(data)
    trained = made("REMI as it comes")
    trained.train(vocab_size=450, files_paths=files)
    trained.save(tmp_path / "tokenizer.json")
    made("REMI as it comes").save(tmp_path / "plain.json")
    found = tokenizer_of_file(tmp_path / "tokenizer.json")
    assert len(trained) > len(found.vocab)
    assert found.vocab == tokenizer_of_file(tmp_path / "plain.json").vocab
    assert found.remarks == ("the merges of the tokenizer.json are left out: ids are base tokens",)


def edited(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a tokenizer.json that was changed."""
    path = tmp_path / "tokenizer.json"
    made("REMI of ours").save(path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda d: d.pop("config"), "needs tokenization and config"),
        (lambda d: d.update(tokenization="REMIPlus"), "of MidiTok's class REMIPlus; those that"),
        (
            lambda d: d["config"].update(pitch_range=[90, 40]),
            "no tokenizer.json that MidiTok loads",
        ),
        (lambda d: d["config"].update(time_signature_range={"4": [3]}), "has no 4/4 among"),
    ],
)
def test_what_a_file_lacks_is_said(change: Any, fact: str, tmp_path: Path) -> None:
    path = edited(tmp_path, change)
    with pytest.raises(MidigenError, match=fact) as error:
        tokenizer_of_file(path)
    assert str(error.value).startswith(f"{path} ")


@pytest.mark.parametrize(
    ("part", "value", "fact"),
    [
        ("config", {}, "defines no tokenizer of MidiTok: KeyError"),
        ("vocabulary", [["Pitch_60"], [7]], "token '1.7' is not of the form Type_value"),
        ("vocabulary", 5, "defines no tokenizer of MidiTok: TypeError"),
    ],
)
def test_a_definition_that_cannot_be_is_an_error_of_one_line(
    part: str, value: Any, fact: str, tmp_path: Path
) -> None:
    made("Octuple").save(tmp_path / "tokenizer.json")
    definition = tokenizer_of_file(tmp_path / "tokenizer.json").definition
    assert definition is not None
    broken = definition | {part: value}
    path = tmp_path / "broken.tok.json"
    path.write_text(json.dumps({"midigen": "miditok"} | broken))
    with pytest.raises(MidigenError, match=fact) as error:
        tokenizer_of_file(path)
    assert "\n" not in str(error.value)


def test_ids_of_another_miditok_are_refused(tmp_path: Path) -> None:
    made("TSD with all").save(tmp_path / "tokenizer.json")
    definition = tokenizer_of_file(tmp_path / "tokenizer.json").definition
    assert definition is not None
    definition["vocabulary"][0].reverse()
    other = MidiTok.from_definition(definition)
    with pytest.raises(MidigenError, match="installed MidiTok has another vocabulary for TSD"):
        other.encode_many([Score.from_midi(tunes()[0])])


def some_merges(spec: str, count: int) -> ModelVocab:
    """Return a model's vocabulary with merges learned from the tunes."""
    tokenizer = registry.tokenizer(spec)
    breaks = breaks_of(tokenizer)
    pieces = [
        (part, breaks(part))
        for found in tokenizer.encode_many([Score.from_midi(data) for data in tunes()])
        if isinstance(found, Encoded)
        for part in found.parts
    ]
    learned = learn(pieces, len(tokenizer.vocab), count) if count else []
    return ModelVocab(tokenizer.vocab, tok_of(tokenizer), merges=learned, bar_starts=breaks)


def model_ids(vocab: ModelVocab, parts: Sequence[Any]) -> list[list[int]]:
    return [vocab.encode(part).tolist() for part in parts]


@pytest.mark.parametrize("merges", [0, 200])
@pytest.mark.parametrize(
    "spec",
    ["remi", "remi:stream=tracks", "remi:programs=0,tempos=0,ts=miditok"],
)
def test_miditok_has_the_ids_of_a_model_and_decodes_them(
    spec: str, merges: int, tmp_path: Path
) -> None:
    vocab = some_merges(spec, merges)
    (path,) = write_exports(tmp_path, vocab)
    theirs = miditok.REMI(params=path)
    assert len(theirs) == len(vocab.base) + len(vocab.expansions)
    ours = registry.tokenizer(spec)
    compared = 0
    for data in tunes():
        (found,) = ours.encode_many([Score.from_midi(data)])
        if not isinstance(found, Encoded):
            continue
        ids = model_ids(vocab, found.parts)
        encoded = theirs.encode(Score.from_midi(data))
        sequences = encoded if isinstance(encoded, list) else [encoded]
        assert [list(sequence.ids) for sequence in sequences] == ids
        known = found.programs and [(max(p, 0), p == -1) for p in found.programs]
        theirs.config.pitch_range = (0, 127)
        decoded = theirs.decode(ids[0] if theirs.one_token_stream else ids, programs=known)
        again = ours.decode(found.parts, found.programs).value
        assert without_repeats(content(decoded)) == without_repeats(content(again))
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize(
    "spec", ["miditok", "miditok:class=MIDILike", "miditok:class=MMM", "remi:rests=1"]
)
def test_miditok_decodes_merged_ids_where_it_cuts_bars_elsewhere(spec: str, tmp_path: Path) -> None:
    vocab = some_merges(spec, 200)
    (path,) = write_exports(tmp_path, vocab)
    kind = "TSD" if spec == "miditok" else spec.partition("class=")[2] or "REMI"
    theirs = getattr(miditok, kind)(params=path)
    ours = registry.tokenizer(spec)
    (found,) = ours.encode_many([Score.from_midi(tunes()[0])])
    decoded = theirs.decode(model_ids(vocab, found.parts)[0])
    again = ours.decode(found.parts).value
    assert without_repeats(content(decoded)) == without_repeats(content(again))


def test_tokenizers_without_such_a_library_export_nothing(tmp_path: Path) -> None:
    assert write_exports(tmp_path, some_merges("barnote", 0)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_goes_with_records_through_the_commands(run: Runner, tunes: Path) -> None:
    made("REMI with other special tokens").save(run.folder / "tokenizer.json")
    run.shell(f"midi2tok --tokenizer tokenizer.json {tunes} > a.jsonl")
    records = [json.loads(line) for line in (run.folder / "a.jsonl").read_bytes().splitlines()]
    assert {record["tok"].partition("#")[0] for record in records} == {"miditok:@"}

    lost = run("tok2midi", "a.jsonl", "-o", "{n}.mid", code=1)
    assert "neither --tokenizer FILE, -m MODEL nor a *.tok.json" in lost.err
    run("tok2midi", "--tokenizer", "tokenizer.json", "a.jsonl", "-o", "{n}.mid")
    copies = run("tokaug", "--tokenizer", "tokenizer.json", "--shift", "2", "a.jsonl").lines
    assert len(copies) > len(records)
    kept = run("tokfilter", "--tokenizer", "tokenizer.json", "--min-notes", "1", "a.jsonl").lines
    assert len(kept) == len(records)
    other = run("tok2tok", "--from", "tokenizer.json", "--tokenizer", "remi", "a.jsonl").lines
    assert all(json.loads(line)["tok"].startswith("remi#") for line in other)

    definition = {"midigen": "miditok"} | json.loads((run.folder / "tokenizer.json").read_text())
    (run.folder / "mine.tok.json").write_text(json.dumps(definition))
    again = run.shell("tokcut --bars 1:2 a.jsonl | tok2text").text
    assert again.startswith("Bar_None\n")


def test_only_a_file_can_say_what_records_name(run: Runner) -> None:
    refused = run("tokaug", "--tokenizer", "remi", "--shift", "2", stdin=b"", code=2)
    assert "records name their tokenizer; only a learned vocabulary" in refused.err


def test_a_model_has_its_own_copy_of_a_learned_vocabulary(run: Runner, tunes: Path) -> None:
    made("TSD").save(run.folder / "tokenizer.json")
    tiny = "--steps 4 --preset tiny --batch 512 --eval-tokens 512 --device cpu"
    run.shell(
        f"midi2tok --tokenizer tokenizer.json {tunes} > a.jsonl;"
        f" toktrain --tokenizer tokenizer.json {tiny} --bpe 20 -o t.model a.jsonl;"
        " rm tokenizer.json"
    )
    vocab = json.loads((run.folder / "t.model" / "vocab.json").read_text())
    assert vocab["definition"]["tokenization"] == "TSD"
    (run.folder / "t.model" / "tokenizer.json").rename(run.folder / "exported.json")
    assert len(miditok.TSD(params=run.folder / "exported.json")) > len(vocab["tokens"])
    sampled = run("toksample", "-m", "t.model", "--tokens", "60", "-n", "2")
    assert [json.loads(line)["tok"] for line in sampled.lines] == [vocab["tok"]] * 2
    decode = ("tok2midi", "--tokenizer", "t.model/vocab.json", "-o", "{n}.mid")
    assert "repaired" not in run(*decode, stdin=sampled.out).err
    run.shell(f"midi2tok -m t.model {tunes} | tokeval -m t.model | tail -n 1")
