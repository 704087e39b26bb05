"""What made a piece, kept in its MIDI file: a text event holds the record's ``gen`` as JSON."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

_KEY = "midigen"
_MARK = f'{{"{_KEY}":'.encode()
_TEXT = b"\xff\x01"
_LONGEST_LENGTH = 4
"""Bytes of a variable-length quantity."""


def to_text(gen: Mapping[str, Any]) -> str:
    """Return the text of the event, ASCII."""
    return json.dumps({_KEY: gen}, separators=(",", ":"))


def find_gen(midi: bytes) -> dict[str, Any] | None:
    """Return the ``gen`` that a MIDI file holds, None where it holds none that can be read."""
    at = midi.find(_MARK)
    while at >= 0:
        text = _text_at(midi, at)
        if text is not None:
            return text
        at = midi.find(_MARK, at + 1)
    return None


def _text_at(midi: bytes, at: int) -> dict[str, Any] | None:
    """Return what the text event holds whose text begins at a place, if that is one."""
    head = midi[max(0, at - _LONGEST_LENGTH - len(_TEXT)) : at]
    for size in range(1, _LONGEST_LENGTH + 1):
        digits = head[-size:]
        if head[-size - len(_TEXT) : -size] != _TEXT or digits[-1] & 0x80:
            continue
        length = 0
        for digit in digits:
            length = length << 7 | digit & 0x7F
        try:
            # A stranger's file: what orjson does not read cannot stand in a record either.
            found = orjson.loads(midi[at : at + length])
        except ValueError:
            return None
        gen = found.get(_KEY) if isinstance(found, dict) else None
        return gen if isinstance(gen, dict) else None
    return None
