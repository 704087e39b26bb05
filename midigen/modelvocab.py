"""A model's vocabulary: base | merges | specials that the base lacks | infill | condition tokens.

Base ids keep their numbers, so a record's ids are model ids of a model without merges. A base's own
PAD_None, BOS_None and EOS_None are used where it has them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from midigen.errors import MidigenError
from midigen.spec import parse_tok
from midigen.vocab import Vocab

if TYPE_CHECKING:
    import numpy as np

FIELDS = ("genre", "artist", "era")
"""The fields that condition a model unless others are asked for, in the order of their tokens."""
SPECIALS = ("BOS", "EOS", "PAD")
INFILL = ("Hole", "Fill", "End")
"""What infilling is told by (`midigen.infill`)."""

Pair = tuple[int, int]
Usual = dict[str, dict[str, list[tuple[int, list[str]]]]]
"""{field: {value: [(training pieces, their instruments)]}}; "" and "" for all pieces."""
BarStarts = Callable[["np.ndarray"], "np.ndarray"]


class InfillIds(NamedTuple):
    """hole: a bar is missing. fill: what is missing follows. end: of that, or of what is behind."""

    hole: int
    fill: int
    end: int


class ModelVocab:
    """The ids of a model. Immutable; `len` is the number of ids, V.

    tok: spec#fingerprint of the base. definition: what rebuilds the tokenizer of a base that was
    learned, else None. merges: pairs of ids, in the order they were learned.
    bos, eos, pad: ids, or None with ``--specials none``. infill: ids, or None for a model that has
    not learned to fill in.
    conditions: {field: {value: id}}. counts: {field: {value: pieces in training}}. usual: which
    instruments go with which values (`midigen.usual`); empty where none are told.
    """

    def __init__(
        self,
        base: Vocab,
        tok: str,
        *,
        merges: Iterable[Pair] = (),
        specials: bool = True,
        conditions: Mapping[str, Mapping[str, int]] | None = None,
        bar_starts: BarStarts | None = None,
        definition: Mapping[str, Any] | None = None,
        added: Iterable[tuple[str, str, int]] = (),
        infill: int | bool = False,
        suffix_first: bool = True,
        usual: Usual | None = None,
    ) -> None:
        """Lay the ids out. `conditions` holds {field: {value: pieces in training}}.

        added: (field, value, pieces) of conditions that came later: their ids are the last.
        infill: whether there are such ids; the first of them where they came later, too.
        suffix_first: the order in which what is around a hole is read (`midigen.infill`).

        bar_starts: the tokenizer's; without it the tokenizer is built from `tok` when merges need
        it. Raises MidigenError if `tok` is not of this base or a merge names an id that does not
        exist yet.
        """
        self.base = base
        self.tok = tok
        self.definition = None if definition is None else dict(definition)
        fingerprint = parse_tok(tok).fingerprint
        if fingerprint != base.fingerprint:
            raise MidigenError(
                f"the vocabulary's fingerprint is {base.fingerprint}, but tok says {fingerprint}"
            )
        self.merges: tuple[Pair, ...] = tuple((int(a), int(b)) for a, b in merges)
        self.expansions, self.merged_ids = _expand_merges(self.merges, len(base))
        names = {name: base.index.get(f"{name}_None") for name in SPECIALS}
        top = len(base) + len(self.expansions)
        for name in SPECIALS if specials else ():
            if names[name] is None:
                names[name] = top
                top += 1
        self.specials = specials
        self.bos, self.eos, self.pad = (names[name] if specials else None for name in SPECIALS)
        first = top if infill is True else infill or None
        self.infill = None if first is None else InfillIds(first, first + 1, first + 2)
        self.suffix_first = suffix_first
        free = (i for i in count(top) if self.infill is None or i not in self.infill)
        self.conditions: dict[str, dict[str, int]] = {}
        self.counts: dict[str, dict[str, int]] = {}
        for field, values in (conditions or {}).items():
            self.counts[field] = dict(values)
            self.conditions[field] = {value: next(free) for value in values}
        self._conditions = {field: dict(values) for field, values in self.counts.items()}
        self.added = tuple((field, value, pieces) for field, value, pieces in added)
        for field, value, pieces in self.added:
            self.counts.setdefault(field, {})[value] = pieces
            self.conditions.setdefault(field, {})[value] = next(free)
        self._size = next(free)
        self.usual: Usual = usual or {}
        self._bar_starts = bar_starts

    def __len__(self) -> int:
        return self._size

    @cached_property
    def bar_starts(self) -> BarStarts:
        """The tokenizer's `bar_starts` (of text: its words): merges do not cross these places."""
        if self._bar_starts is not None:
            return self._bar_starts
        from midigen.merges import breaks_of
        from midigen.tokenizers import tokenizer_of

        return breaks_of(tokenizer_of(self.tok))

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """{field: {folded name: value}}: the values by their names without case and accents."""
        from midigen.names import fold

        return {
            field: {fold(value): value for value in values}
            for field, values in self.conditions.items()
        }

    @cached_property
    def _merger(self) -> Any:
        from midigen.merges import Merger

        return Merger(len(self.base), self.merges, self.merged_ids)

    def encode(self, ids: "np.ndarray | Sequence[int]") -> "np.ndarray":
        """Return base ids with every merge applied, as int64."""
        (merged,) = self.encode_many([ids])
        return merged

    def encode_many(
        self, pieces: "Sequence[np.ndarray | Sequence[int]]", bar_starts: BarStarts | None = None
    ) -> "list[np.ndarray]":
        """`encode` for many pieces: with merges several times faster than one by one."""
        import numpy as np

        arrays = [np.asarray(ids, dtype=np.int64) for ids in pieces]
        if not self.merges:
            return arrays
        find = bar_starts or self.bar_starts
        return self._merger.apply(arrays, [find(ids) for ids in arrays])

    def expand(self, ids: "np.ndarray | Sequence[int]") -> "np.ndarray":
        """Return the base ids of model ids, as int64; specials and conditions give none."""
        import numpy as np

        lengths, offsets, flat = self._tables
        array = np.asarray(ids, dtype=np.int64)
        counts = lengths[array]
        ends = np.cumsum(counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return flat[np.repeat(offsets[array], counts) + within]

    @cached_property
    def _tables(self) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
        """The base ids of every id, end to end, with length and offset of each."""
        import numpy as np

        rows: list[tuple[int, ...]] = [(i,) for i in range(len(self.base))]
        rows += self.expansions
        rows += [()] * (len(self) - len(rows))
        for special in (self.bos, self.eos, self.pad):
            if special is not None:
                rows[special] = ()
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        flat = np.array([i for row in rows for i in row], dtype=np.int64)
        return lengths, np.cumsum(lengths) - lengths, flat

    def expansion(self, id: int) -> tuple[int, ...]:
        """Return the base ids of one id; empty for specials and conditions."""
        lengths, offsets, flat = self._tables
        return tuple(flat[offsets[id] : offsets[id] + lengths[id]].tolist())

    def token(self, id: int) -> str:
        """Return what an id stands for, in words: base tokens joined by spaces, or its name."""
        for name, special in zip(SPECIALS, (self.bos, self.eos, self.pad), strict=True):
            if id == special:
                return f"{name}_None"
        for name, special in zip(INFILL, self.infill or (), strict=False):
            if id == special:
                return f"Infill_{name}"
        for field, values in self.conditions.items():
            for value, place in values.items():
                if place == id:
                    return f"{field}={value}"
        return " ".join(self.base.tokens[i] for i in self.expansion(id))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "tok": self.tok,
            "tokens": list(self.base.tokens),
            "merges": [list(pair) for pair in self.merges],
            "specials": self.specials,
            "conditions": self._conditions,
            **({"added": [list(item) for item in self.added]} if self.added else {}),
            **({} if self.definition is None else {"definition": self.definition}),
            **({} if self.infill is None else {"infill": self.infill.hole}),
            **({"suffix_first": True} if self.infill and self.suffix_first else {}),
            **({"usual": self.usual} if self.usual else {}),
        }

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], bar_starts: BarStarts | None = None
    ) -> "ModelVocab":
        """Raises MidigenError for a version that this midigen does not know."""
        if data.get("version") != 1:
            raise MidigenError(f"vocab.json has version {data.get('version')!r}; this reads 1")
        return cls(
            Vocab(data["tokens"]),
            data["tok"],
            merges=[(a, b) for a, b in data["merges"]],
            specials=data["specials"],
            conditions=data["conditions"],
            bar_starts=bar_starts,
            definition=data.get("definition"),
            added=[(field, value, pieces) for field, value, pieces in data.get("added", ())],
            infill=data.get("infill", False),
            suffix_first=data.get("suffix_first", False),
            usual={
                field: {
                    value: [(pieces, names) for pieces, names in sets]
                    for value, sets in values.items()
                }
                for field, values in data.get("usual", {}).items()
            },
        )

    def with_usual(self, usual: Usual) -> "ModelVocab":
        """Return this vocabulary with these instruments; of other values it keeps its own."""
        fields = self.usual | usual
        both = {field: self.usual.get(field, {}) | usual.get(field, {}) for field in fields}
        return ModelVocab.from_json(self.to_json() | {"usual": both}, self._bar_starts)

    def extended(
        self, counts: Mapping[str, Mapping[str, int]], *, infill: bool = False
    ) -> "ModelVocab":
        """Return this vocabulary with the values of `counts` that it does not know, behind all.

        infill: give it the ids of infilling, too, if it has none, and today's order. Every id stays
        what it is, so that weights trained with this vocabulary go on.
        """
        new = [
            (field, value, pieces)
            for field, values in counts.items()
            for value, pieces in values.items()
            if value not in self.conditions.get(field, {})
        ]
        data = self.to_json()
        if infill:
            data |= {"infill": self.infill.hole if self.infill else len(self), "suffix_first": True}
        return ModelVocab.from_json(
            data | {"added": [*data.get("added", ()), *new]}, self._bar_starts
        )


def _expand_merges(
    merges: Sequence[Pair], base_size: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Return the base ids of every merged id, and the id that each merge gives.

    Two merges give the same id where their base ids are the same: (ab, c) and (a, bc).
    """
    rows: list[tuple[int, ...]] = [(i,) for i in range(base_size)]
    known: dict[tuple[int, ...], int] = {}
    made: list[int] = []
    for a, b in merges:
        if not 0 <= a < len(rows) or not 0 <= b < len(rows):
            raise MidigenError(f"merge ({a}, {b}) names an id that does not exist before it")
        row = rows[a] + rows[b]
        if row not in known:
            known[row] = len(rows)
            rows.append(row)
        made.append(known[row])
    return tuple(rows[base_size:]), tuple(made)
