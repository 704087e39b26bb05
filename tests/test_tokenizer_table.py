"""The table of midigen-tokenizers(7) says what really comes back of what is encoded and decoded."""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from conftest import CHECKOUT
from symusic import Score
from tokenizer_laws import OF_MIDITOK, tokenizer, tunes

from midigen import registry
from midigen.errors import Reject

Row = dict[str, str]
TEMPO = 0.06
"""A tempo of 32 between 40 and 250 lies at most so far from one of a file, as a share of it."""


def table() -> dict[str, Row]:
    """Return the rows by spec."""
    text = (CHECKOUT / "manpages" / "midigen-tokenizers.7.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return {row["spec"].split("`")[1]: row for row in rows}


TABLE = table()
MUSIC = [spec for spec in TABLE if spec != "text"]


@cache
def pairs(spec: str) -> list[tuple[Any, Any]]:
    """Return tunes before and after.

    Without the canon, whose violins hold one pitch at a time twice, which not all can say.
    """
    found, made = tokenizer(spec), []
    for data in tunes():
        score: Any = Score.from_midi(data)
        if [track.program for track in score.tracks].count(40) > 1:
            continue
        try:
            encoded = found.encode(score)
        except Reject:
            continue
        made.append((score, found.decode(encoded.parts, encoded.programs).value))
    assert len(made) >= 16
    return made


def notes(score: Any, *, programs: bool) -> np.ndarray:
    """Return (N, 5): program, pitch, onset and duration in quarters, velocity; sorted."""
    rows = [
        (
            (-1 if track.is_drum else track.program) if programs else 0,
            note.pitch,
            note.time / score.tpq,
            note.duration / score.tpq,
            note.velocity,
        )
        for track in score.tracks
        for note in track.notes
    ]
    return np.array(sorted(rows))


def played(score: Any) -> set[int]:
    return {-1 if track.is_drum else track.program for track in score.tracks if track.note_num()}


def tempos(score: Any) -> list[float]:
    """Return the tempos in their order, in beats a minute; equal neighbours are one."""
    found = [tempo.qpm for tempo in sorted(score.tempos, key=lambda tempo: tempo.time)]
    return [tempo for i, tempo in enumerate(found) if i == 0 or tempo != found[i - 1]]


def signatures(score: Any) -> list[tuple[float, int, int]]:
    return [(s.time / score.tpq, s.numerator, s.denominator) for s in score.time_signatures]


def test_every_tokenizer_has_a_row_and_its_number_of_ids() -> None:
    assert {spec.partition(":")[0] for spec in TABLE} == set(registry.installed("tokenizers"))
    assert set(OF_MIDITOK) <= set(TABLE)
    for spec, row in TABLE.items():
        assert len(tokenizer(spec).vocab) == int(row["ids"]), spec


@pytest.mark.parametrize("spec", MUSIC)
def test_programs_and_drums_are_kept_as_it_says(spec: str) -> None:
    row = TABLE[spec]
    before, after = (set().union(*map(played, side)) for side in zip(*pairs(spec), strict=True))
    assert (before - {-1} == after - {-1}) == (row["programs"] == "yes")
    assert (-1 in before) and (-1 in after) == (row["drums"] == "yes")
    if row["programs"] == "yes":
        assert all(played(a) == played(b) for a, b in pairs(spec))


@pytest.mark.parametrize("spec", [spec for spec in MUSIC if TABLE[spec]["step"] != "order"])
def test_notes_are_kept_as_it_says(spec: str) -> None:
    row = TABLE[spec]
    step = float(Fraction(row["step"]))
    errors = []
    for score, back in pairs(spec):
        before, after = (notes(s, programs=row["programs"] == "yes") for s in (score, back))
        assert before[:, :2].tolist() == after[:, :2].tolist()
        errors.append(np.abs(before - after).max(axis=0)[2:])
    onset, duration, velocity = np.max(errors, axis=0)
    # Ticks of the decoded score are not always those of the file.
    slack = 1 / 320
    assert 0 < onset <= step / 2 + slack
    # A note is one step long at least.
    assert (0 < duration <= step + slack) == (row["durations"] == "yes")
    assert (velocity <= 4) == (row["velocities"] != "-")
    if row["velocities"] != "-":
        assert velocity <= 127 / int(row["velocities"]) / 2
        words = [v for kind, v in words_of(spec) if kind.lower().endswith("velocity")]
        assert len(set(words) - {"0"}) == int(row["velocities"])


def test_pitch_keeps_the_order_of_moments_alone() -> None:
    score, back = pairs("pitch")[0]
    onsets = [len({n.time for t in s.tracks for n in t.notes}) for s in (score, back)]
    assert onsets[0] == onsets[1]
    assert len({n.duration for t in back.tracks for n in t.notes}) == 1
    assert TABLE["pitch"]["durations"] == "-"


@pytest.mark.parametrize("spec", MUSIC)
def test_tempos_are_kept_as_it_says(spec: str) -> None:
    row = TABLE[spec]
    kept = [
        len(tempos(a)) == len(tempos(b))
        and np.allclose(tempos(a), tempos(b), rtol=TEMPO if row["tempos"] == "32" else 0.02)
        for a, b in pairs(spec)
    ]
    assert all(kept) == (row["tempos"] != "-")
    if row["tempos"] == "32":
        words = [v for kind, v in words_of(spec) if kind.lower().endswith("tempo")]
        assert len(set(words) - {"None"}) == 32


@pytest.mark.parametrize("spec", MUSIC)
def test_signatures_are_kept_as_it_says(spec: str) -> None:
    row = TABLE[spec]
    kept = all(signatures(a) == signatures(b) for a, b in pairs(spec))
    assert kept == (row["signatures"] == "yes")
    if row["signatures"] == "bars":
        # The lengths of bars are kept, not how they are written: 6/8 and 3/4 are one.
        same = [signatures(a)[0][1:] == signatures(b)[0][1:] for a, b in pairs(spec)]
        assert sum(same) > len(same) / 2


def words_of(spec: str) -> list[tuple[str, str]]:
    vocab = tokenizer(spec).vocab
    return list(zip(vocab.types, vocab.values, strict=True))


def test_text_keeps_every_byte() -> None:
    data = bytes(range(256)) * 2
    found = tokenizer("text")
    assert found.decode(found.encode(data).parts).value == data
    assert TABLE["text"]["step"] == "bytes"
