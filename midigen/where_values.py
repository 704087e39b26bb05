"""What the signs and functions of `midigen.where` do with values: total, never raising."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from midigen.names import fold

Value = Any


def look_up(record: Mapping[str, Any], path: tuple[str, ...]) -> Value:
    """Return what stands at `path` in the record, or None."""
    value: Value = record
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _each(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]


def _equal(left: Value, right: Value) -> bool:
    return any(
        _kind(a) == _kind(b) and a == b
        for a in _each(left)
        for b in _each(right)
        if a is not None and b is not None
    )


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def test(left: Value, right: Value) -> bool:
        return any(
            _kind(a) == _kind(b) in ("number", "str") and compare(a, b)
            for a in _each(left)
            for b in _each(right)
        )

    return test


def _within(left: Value, right: Value) -> bool:
    """Return whether a value of `left` is an item, a part of the text or a key of `right`."""
    if isinstance(right, list):
        return _equal(left, right)
    if isinstance(right, str | Mapping):
        return any(isinstance(item, str) and item in right for item in _each(left))
    return False


def _present(*values: Value) -> bool:
    return all(value is not None for value in values)


COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "==": _equal,
    "!=": lambda a, b: _present(a, b) and not _equal(a, b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "in": _within,
    "not in": lambda a, b: _present(a, b) and not _within(a, b),
}

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def calculate(sign: str, left: Value, right: Value) -> Value:
    """Return ``left sign right``; None unless both are numbers and the result is finite."""
    if _kind(left) != "number" or _kind(right) != "number":
        return None
    try:
        result = _ARITHMETIC[sign](left, right)
        return result if math.isfinite(result) else None
    except (ZeroDivisionError, OverflowError):
        return None


def _length(value: Value) -> Value:
    return len(value) if isinstance(value, str | list | Mapping) else None


def _text(change: Callable[[str], Any]) -> Callable[[Value], Value]:
    """Return a function of strings that also takes lists of them; None for anything else."""

    def call(value: Value) -> Value:
        if isinstance(value, list):
            return [change(item) for item in value if isinstance(item, str)]
        return change(value) if isinstance(value, str) else None

    return call


def _number(value: Value) -> Value:
    if _kind(value) == "number":
        return value
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _least_or_most(choose: Callable[[list[Any]], Any]) -> Callable[..., Value]:
    def call(*values: Value) -> Value:
        numbers = [item for value in values for item in _each(value) if _kind(item) == "number"]
        return choose(numbers) if numbers else None

    return call


def _any_text(test: Callable[[str, str], bool]) -> Callable[[Value, Value], bool]:
    def call(value: Value, other: Value) -> bool:
        return any(
            isinstance(a, str) and isinstance(b, str) and test(a, b)
            for a in _each(value)
            for b in _each(other)
        )

    return call


class Function(NamedTuple):
    call: Callable[..., Value]
    least: int
    most: int | None
    """Number of arguments; None: any."""
    says: str


FUNCTIONS: dict[str, Function] = {
    "len": Function(_length, 1, 1, "characters of a text, items of a list, keys of an object"),
    "lower": Function(_text(str.lower), 1, 1, "a text in lower case"),
    "fold": Function(_text(fold), 1, 1, "a name without case, accents, spaces, hyphens"),
    "number": Function(_number, 1, 1, "a text as a number"),
    "abs": Function(lambda v: abs(v) if _kind(v) == "number" else None, 1, 1, "without sign"),
    "min": Function(_least_or_most(min), 1, None, "the least number"),
    "max": Function(_least_or_most(max), 1, None, "the greatest number"),
    "starts": Function(_any_text(str.startswith), 2, 2, "whether a text begins with another"),
    "ends": Function(_any_text(str.endswith), 2, 2, "whether a text ends with another"),
}
