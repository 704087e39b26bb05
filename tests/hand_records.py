"""Records put together by hand from the words of a vocabulary, for tests of the stream commands."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from midigen.record import Record
from midigen.tokenizers import tokenizer_of
from midigen.vocab import fingerprint

Bar = Sequence[tuple[int, int]]
"""Notes (program, pitch), one on every second position; program -1: a drum."""


def tok_of(spec: str = "remi") -> str:
    """Return `spec` with the fingerprint of its vocabulary."""
    from midigen.registry import tokenizer

    made = tokenizer(spec)
    return f"{made.spec}#{made.vocab.fingerprint}"


def ids_of(tok: str, words: Iterable[str]) -> list[int]:
    """Return the ids of tokens in the vocabulary of `tok`."""
    index = tokenizer_of(tok).vocab.index
    return [index[word] for word in words]


def words_of(record: Record) -> list[str]:
    """Return the tokens of a record."""
    tokens = tokenizer_of(record["tok"]).vocab.tokens
    return [tokens[id] for id in record["ids"]]


def bar_words(notes: Bar, signature: str = "4/4", drum: str = "PitchDrum") -> list[str]:
    """Return the words of one bar in the default `remi`."""
    words = ["Bar_None", f"TimeSig_{signature}"]
    for place, (program, pitch) in enumerate(notes):
        words += [f"Position_{2 * place}", f"Program_{program}"]
        words += [f"{drum if program == -1 else 'Pitch'}_{pitch}", "Velocity_63", "Duration_0.4.8"]
    return words


def record_of(words: Sequence[str], *, name: str = "a", spec: str = "remi", **keys: Any) -> Record:
    """Return a whole record of these words; id, group and md5 follow from `name`."""
    tok = tok_of(spec)
    notes = sum(word.startswith("Pitch") for word in words)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {
        "v": 1,
        "id": digest[:16],
        "group": digest[16:32],
        "src": f"songs/{name}.mid",
        "md5": digest[32:],
        "tok": tok,
        "ids": ids_of(tok, words),
        "n": {"notes": notes, "bars": words.count("Bar_None"), "seconds": 2.5, "tracks": 1},
        "meta": {},
        "aug": {},
    } | keys


def piece(k: int) -> Record:
    """Return the k-th of a family of pieces that differ in every way that commands look at."""
    programs = ((0,), (0, 33), (-1,), (40, -1))[k % 4]
    notes = [(program, 40 + (5 * k + 3 * i) % 37) for i in range(6) for program in programs]
    signature = "3/4" if k % 3 == 0 else "4/4"
    words = bar_words(notes[:8], signature) * (1 + k % 5)
    meta: dict[str, Any] = {"genre": ("pop", "Hip-Hop", ["jazz", "folk"])[k % 3]}
    if k % 4:
        meta |= {"artist": f"Björk {k % 7}", "year": 1970 + k % 40, "title": f"T{k % 9}"}
    return record_of(words, name=f"piece{k}", meta=meta)


def lines_of(records: Iterable[Record]) -> bytes:
    """Return records as JSON Lines."""
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def read_lines(data: bytes) -> list[Record]:
    """Return the records of JSON Lines, as they are written."""
    return [orjson.loads(line) for line in data.splitlines()]


def unknown_tok() -> str:
    """Return a tok of a tokenizer that nobody has."""
    return f"nowhere#{fingerprint(['Nothing_here'])}"
