"""The conditions asked for, by the names that a model knows."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from midigen.conditions import condition_values, era_of
from midigen.errors import MidigenError, UsageError
from midigen.modelvocab import ModelVocab
from midigen.names import fold
from midigen.ranges import range_of

LISTED = 20
"""Most names that an error lists."""

Asked = dict[str, list[str]]
"""{field: values}, fields in the order of the vocabulary's."""

EMPHASIS = ((10, 3.0), (20, 2.0), (100, 1.5))
"""(pieces, guidance): what fewer training pieces had changes little unless it is emphasised."""


def known(vocab: ModelVocab, field: str, name: str) -> str | None:
    """Return the model's own spelling of `name`, or None if it does not know it.

    Of a field of numbers, that is the range that holds the number.
    """
    values = vocab.conditions.get(field, {})
    if name in values:
        return name
    return range_of(values, name) or vocab.spellings.get(field, {}).get(fold(name))


def known_values(vocab: ModelVocab, field: str, names: Sequence[str]) -> list[str]:
    """Return the model's spellings of the names that it knows, each once."""
    found = [known(vocab, field, name) for name in names]
    return list(dict.fromkeys(value for value in found if value is not None))


def read_conditions(
    texts: Iterable[str], names: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return {field: values} of ``KEY=VALUE`` texts, behind those of `names`. Raises UsageError."""
    found = {field: list(values) for field, values in names.items()}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field or not value:
            raise UsageError(f"--condition {text!r} is not KEY=VALUE")
        found.setdefault(field, []).append(value)
    return found


def usual_guidance(vocab: ModelVocab, asked: Mapping[str, Sequence[str]]) -> float:
    """Return the guidance that goes with the rarest value asked, as `EMPHASIS` says; else 1.

    A model without BOS has nothing to read unasked, and no guidance but 1.
    """
    if vocab.bos is None:
        return 1.0
    counts = [vocab.counts[field][value] for field in asked for value in asked[field]]
    found = (guidance for few, guidance in EMPHASIS if min(counts, default=few) < few)
    return next(found, 1.0)


def resolve(vocab: ModelVocab, names: Mapping[str, Sequence[str]]) -> Asked:
    """Return `names` as the model spells them.

    Raises MidigenError for a field or a value that it does not know, listing those that it does.
    """
    asked: Asked = {}
    # A field that the model lacks comes last, to be refused.
    for field in (*vocab.conditions, *(f for f in names if f not in vocab.conditions)):
        for name in names.get(field, ()):
            value = known(vocab, field, name)
            if value is None:
                raise MidigenError(_unknown(vocab, field, name))
            asked.setdefault(field, []).append(value)
    return asked


def era_near(vocab: ModelVocab, year: int) -> str:
    """Return the era of a year, or the nearest that the model knows; of two, the earlier."""
    own = era_of(year)
    known_eras = [era for era in vocab.conditions.get("era", ()) if era.removesuffix("s").isdigit()]
    if own in known_eras or not known_eras:
        return own
    # A decade's distance is that of its nearest year.
    firsts = sorted(int(era.removesuffix("s")) for era in known_eras)
    return era_of(min(firsts, key=lambda first: max(first - year, year - first - 9)))


def _unknown(vocab: ModelVocab, field: str, name: str) -> str:
    values = list(vocab.conditions.get(field, ()))
    if not values:
        fields = ", ".join(f for f in vocab.conditions) or "no conditions at all"
        return f"the model knows no {field}, so not {name!r} either; it knows {fields}"
    nearest = sorted(values, key=lambda value: -_likeness(name, value))
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    return f"the model knows no {field} {name!r}; it knows {', '.join(nearest[:LISTED])}{more}"


def _likeness(a: str, b: str) -> float:
    return SequenceMatcher(None, fold(a), fold(b)).ratio()


def of_record(vocab: ModelVocab, record: Mapping[str, Any]) -> Asked:
    """Return the conditions that a record's `meta` names, as far as the model knows them."""
    found: Asked = {}
    for field in vocab.conditions:
        values = known_values(vocab, field, condition_values(record, field))
        if values:
            found[field] = values
    return found


def condition_ids(vocab: ModelVocab, asked: Mapping[str, Sequence[str]]) -> list[int]:
    """Return the condition tokens of resolved values, in the order of training windows."""
    fields = vocab.conditions
    return [ids[value] for field, ids in fields.items() for value in asked.get(field, ())]
