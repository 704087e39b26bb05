"""How the values of `remi` parameters are read from a spec and written back."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from midigen.errors import MidigenError

DRUMS = -1
"""The program of drum tracks, as MidiTok counts; ``drums`` in a spec."""
PROGRAMS = tuple(range(-1, 128))

Spans = tuple[tuple[int, int], ...]
Signatures = tuple[tuple[int, int], ...]


class Codec(NamedTuple):
    """Reads a value (ValueError for one that cannot be) and writes its canonical form."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    what: str
    """The form of a value, for error messages and the manual."""


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not low <= int(text) <= high:
        raise ValueError(text)
    return int(text)


def switch() -> Codec:
    """On or off."""
    return Codec(lambda text: bool(_number(text, 0, 1)), lambda on: str(int(on)), "0 or 1")


def count(low: int, high: int) -> Codec:
    """A whole number."""
    return Codec(lambda text: _number(text, low, high), str, f"a number in {low}..{high}")


def between(low: int, high: int) -> Codec:
    """A range ``a-b`` with `low` <= a < b <= `high`."""

    def read(text: str) -> tuple[int, int]:
        first, _, last = text.partition("-")
        a, b = _number(first, low, high), _number(last, low, high)
        if a >= b:
            raise ValueError(text)
        return a, b

    what = f"a range like {low}-{high}, within it and rising"
    return Codec(read, lambda pair: f"{pair[0]}-{pair[1]}", what)


def choice(*names: str) -> Codec:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return Codec(read, str, f"one of {', '.join(names)}")


def decimal(low: float, high: float) -> Codec:
    """A number with at most three decimals."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or not low <= float(text) <= high:
            raise ValueError(text)
        return float(text)

    return Codec(read, lambda value: f"{value:g}", f"a number in {low:g}..{high:g}")


def spans() -> Codec:
    """Beats x positions a beat, one span behind another: ``4x8+8x4``; a bare 12 is ``12x12``."""

    def read(text: str) -> Spans:
        if text.isdecimal():
            text = f"12x{text}"
        found = []
        for span in text.split("+"):
            beats, _, resolution = span.partition("x")
            found.append((_number(beats, 1, 64), _number(resolution, 1, 96)))
        return tuple(found)

    return Codec(read, write_spans, "spans of beats x positions a beat, like 4x8+8x4")


def rests(default: Spans) -> Codec:
    """Spans, 0 for no rests, 1 for `default`."""
    base = spans()

    def read(text: str) -> Spans:
        return {"0": (), "1": default}[text] if text in ("0", "1") else base.read(text)

    def write(value: Spans) -> str:
        return "0" if not value else "1" if value == default else write_spans(value)

    return Codec(read, write, "0, 1 or " + base.what)


def write_spans(value: Iterable[tuple[int, int]]) -> str:
    """Write spans as the codec of `spans` reads them."""
    return "+".join(f"{beats}x{resolution}" for beats, resolution in value)


def signatures(names: dict[str, Signatures]) -> Codec:
    """Time signatures ``4/4+3/4`` in the vocabulary's order, a name of a set, or 0 for none."""

    def read(text: str) -> Signatures:
        if text == "0":
            return ()
        if text in names:
            return names[text]
        found = []
        for signature in text.split("+"):
            above, _, below = signature.partition("/")
            denominator = _number(below, 1, 64)
            if denominator & (denominator - 1):
                raise ValueError(text)
            found.append((_number(above, 1, 64), denominator))
        if len(set(found)) != len(found) or (4, 4) not in found:
            raise ValueError(text)
        order = list(dict.fromkeys(denominator for _, denominator in found))
        return tuple(sorted(found, key=lambda signature: order.index(signature[1])))

    def write(value: Signatures) -> str:
        known = {signature_set: name for name, signature_set in names.items()}
        return known.get(value) or "+".join(f"{n}/{d}" for n, d in value) or "0"

    what = f"0, {', '.join(names)}, or distinct signatures like 4/4+3/4+6/8, 4/4 among them"
    return Codec(read, write, what)


def numbers(names: dict[str, tuple[int, ...]], low: int, high: int, allow_drums: bool) -> Codec:
    """A sorted set of numbers, ``0-7+32+drums``, or a name of one."""

    def read(text: str) -> tuple[int, ...]:
        if text in names:
            return names[text]
        found: set[int] = set()
        for item in text.split("+"):
            first, dash, last = item.partition("-")
            if item == "drums" and allow_drums:
                found.add(DRUMS)
            elif dash:
                found.update(range(_number(first, low, high), _number(last, low, high) + 1))
            else:
                found.add(_number(first, low, high))
        if not found:
            raise ValueError(text)
        return tuple(sorted(found))

    def write(value: tuple[int, ...]) -> str:
        known = {number_set: name for name, number_set in names.items()}
        return known.get(value) or "+".join(_runs(value))

    drums = " and drums" if allow_drums else ""
    what = f"{', '.join(names)}, or numbers in {low}..{high}{drums}, like {low}-7+32"
    return Codec(read, write, what)


def _runs(value: tuple[int, ...]) -> list[str]:
    """Write a sorted set of numbers as runs ``a-b`` and single numbers; drums come last."""
    runs: list[list[int]] = []
    for number in value:
        if number == DRUMS:
            continue
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return texts + ["drums"] * (DRUMS in value)


def parse(codec: Codec, key: str, text: str, plugin: str = "remi") -> Any:
    """Read `text`, or raise MidigenError that says what a value of `key` looks like."""
    try:
        return codec.read(text)
    except ValueError as error:
        raise MidigenError(f"{plugin}: {key}={text} is not {codec.what}") from error
