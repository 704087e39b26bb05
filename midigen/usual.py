"""What usually goes with what is asked: the instruments of training pieces, to be drawn from.

Where nobody tells a model the instruments, the first notes decide them, and what begins with a drum
alone often stays so. Pieces differ in that less by chance than by kind. So a sample is drawn in two
steps, p(instruments | asked) p(notes | asked, instruments), the first from counts of pieces.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from midigen import rng
from midigen.asked import Asked, known_values

if TYPE_CHECKING:
    from midigen.modelvocab import ModelVocab, Usual
    from midigen.store import Store

FIELD = "instruments"
MOST = 64
"""Sets of instruments that are kept of a value, the commonest."""


def count_usual(store: "Store", rows: np.ndarray, vocab: "ModelVocab") -> "Usual":
    """Return the instruments of the original training rows, by the value of each other field.

    Empty for a model that is not told instruments.
    """
    if FIELD not in vocab.conditions:
        return {}
    originals = rows[store.rows["copy"][rows] == 0]
    own = store.label_sets(FIELD)
    names = [tuple(known_values(vocab, FIELD, values)) for values in own.sets]
    counts: dict[str, dict[str, Counter[tuple[str, ...]]]] = {"": {"": Counter()}}
    for place, pieces in zip(*np.unique(own.place[originals], return_counts=True), strict=True):
        counts[""][""][names[place]] += int(pieces)
    for field in vocab.conditions:
        if field == FIELD:
            continue
        labels, found = store.label_sets(field), defaultdict[str, Counter[tuple[str, ...]]](Counter)
        both = np.stack((labels.place[originals], own.place[originals]))
        pairs, times = np.unique(both, axis=1, return_counts=True)
        for (label, place), pieces in zip(pairs.T, times, strict=True):
            for value in known_values(vocab, field, labels.sets[label]):
                found[value][names[place]] += int(pieces)
        counts[field] = dict(found)
    return {
        field: {
            value: [(pieces, list(names)) for names, pieces in _commonest(sets)]
            for value, sets in values.items()
        }
        for field, values in counts.items()
    }


def _commonest(sets: Counter[tuple[str, ...]]) -> list[tuple[tuple[str, ...], int]]:
    """Return sets with their counts, whatever the order in which they were met."""
    return sorted(sets.items(), key=lambda item: (-item[1], item[0]))[:MOST]


def drawn(vocab: "ModelVocab", asked: Mapping[str, list[str]], seed: int, index: int) -> Asked:
    """Return what is asked of sample `index`, with instruments that usually go with it.

    They are those of a training piece that has, of the values asked, the one with the fewest
    pieces. Where instruments are asked for, or the model knows of none, nothing is added.
    """
    told = dict(asked)
    sets = [] if FIELD in asked else _sets(vocab, asked)
    left = rng.uniform(seed, "", {}, f"{FIELD}:{index}") * sum(pieces for pieces, _ in sets)
    for pieces, names in sets:
        left -= pieces
        if left < 0:
            return told | ({FIELD: list(names)} if names else {})
    return told


def _sets(vocab: "ModelVocab", asked: Mapping[str, list[str]]) -> list[tuple[int, list[str]]]:
    values = [(field, value) for field in asked for value in asked[field]]
    values = [(field, value) for field, value in values if vocab.usual.get(field, {}).get(value)]
    if not values:
        return vocab.usual.get("", {}).get("", [])
    field, value = min(values, key=lambda pair: vocab.counts[pair[0]][pair[1]])
    return vocab.usual[field][value]
