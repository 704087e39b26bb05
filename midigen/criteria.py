"""What records are asked: each function returns a test that says why a record does not fit.

A test returns None for a record that fits, else what stands against it.
"""

from collections.abc import Callable, Sequence

from midigen import rng
from midigen.errors import MidigenError, UsageError
from midigen.names import fold
from midigen.record import Record, meta_values
from midigen.split import SPLITS, SplitRule
from midigen.twins import piece_id

# `midigen.content` finds plugins, which takes as long as all else: imported where it is needed.
Range = tuple[float | None, float | None]
WhyNot = Callable[[Record], str | None]


def parse_range(text: str, option: str) -> Range:
    """Read ``1980:1989``, ``1980:``, ``:1989`` or ``1980``; both ends belong to it."""
    low, colon, high = text.partition(":")
    try:
        ends = (float(low) if low else None, float(high) if high else None)
    except ValueError:
        ends = (None, None)
    first, last = ends if colon else (ends[0], ends[0])
    known = [end for end in (first, last) if end is not None]
    if not known or not known[0] <= known[-1]:
        raise UsageError(f"{option} {text!r} is not a range like 1980:1989, 1980: or :1989")
    return first, last


def named(key: str, wanted: Sequence[str]) -> WhyNot:
    folded = frozenset(map(fold, wanted))

    def why_not(record: Record) -> str | None:
        values = meta_values(record, key)
        if any(fold(str(value)) in folded for value in values):
            return None
        return f"{key} is {', '.join(map(str, values)) or 'not known'}"

    return why_not


def in_years(text: str) -> WhyNot:
    low, high = parse_range(text, "--year")

    def why_not(record: Record) -> str | None:
        values = meta_values(record, "year")
        for value in values:
            try:
                year = float(value)
            except ValueError:
                continue
            if (low is None or low <= year) and (high is None or year <= high):
                return None
        return f"year is {', '.join(map(str, values)) or 'not known'}"

    return why_not


def in_split(name: str) -> WhyNot:
    if name not in SPLITS:
        raise UsageError(f"--split {name!r} is not one of {', '.join(SPLITS)}")
    rule = SplitRule()

    def why_not(record: Record) -> str | None:
        try:
            split = rule.split(record)
        except MidigenError as error:
            return str(error)
        return None if split == name else f"split is {split}"

    return why_not


def _size(record: Record, key: str) -> float | None:
    return len(record["ids"]) if key == "tokens" else record["n"].get(key)


def at_least(key: str, low: float) -> WhyNot:
    def why_not(record: Record) -> str | None:
        size = _size(record, key)
        return None if size is not None and size >= low else f"{key} is {_known(size)}"

    return why_not


def at_most(key: str, high: float) -> WhyNot:
    def why_not(record: Record) -> str | None:
        size = _size(record, key)
        return None if size is not None and size <= high else f"{key} is {_known(size)}"

    return why_not


def _known(size: float | None) -> str:
    return "not known" if size is None else str(size)


def plays(wanted: frozenset[int]) -> WhyNot:
    from midigen.content import Content

    def why_not(record: Record) -> str | None:
        programs = Content.of(record["tok"]).programs(record)
        if programs is not None and not wanted.isdisjoint(programs):
            return None
        found = "not known" if programs is None else ", ".join(map(str, sorted(programs))) or "none"
        return f"programs: {found}"

    return why_not


def has_drums(wanted: bool) -> WhyNot:
    from midigen.content import Content

    def why_not(record: Record) -> str | None:
        drums = Content.of(record["tok"]).drums(record)
        if drums is None:
            return "whether it has drums is not known"
        return None if drums == wanted else "drums" if drums else "no drums"

    return why_not


def in_signatures(wanted: Sequence[str]) -> WhyNot:
    from midigen.content import Content

    for signature in wanted:
        above, slash, below = signature.partition("/")
        if not slash or not above.isdecimal() or not below.isdecimal():
            raise UsageError(f"--time-signature {signature!r} is not like 3/4")
    allowed = frozenset(wanted)

    def why_not(record: Record) -> str | None:
        signatures = Content.of(record["tok"]).signatures(record)
        if signatures and signatures <= allowed:
            return None
        return f"time signatures: {', '.join(sorted(signatures)) or 'not known'}"

    return why_not


def drawn(rate: float, seed: int) -> WhyNot:
    if not 0 < rate <= 1:
        raise UsageError(f"--sample {rate:g} is not a share in 0..1, like 0.1")

    def why_not(record: Record) -> str | None:
        drawn = rng.uniform(seed, piece_id(record), {}, "sample") < rate
        return None if drawn else "not drawn"

    return why_not
