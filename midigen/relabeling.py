"""New `meta` and `group` for records: labelers, maps, assignments, in this order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from midigen.coverage import Coverage
from midigen.errors import DataError, Reject, UsageError
from midigen.labels import (
    Meta,
    is_value,
    one_or_several,
    read_assignments,
    read_map,
    says_nothing,
)
from midigen.names import fold
from midigen.protocols import Labeler, NotingLabeler
from midigen.record import Record, meta_values, put_meta, short_hash
from midigen.registry import load, load_object
from midigen.rejects import Rejects
from midigen.spec import parse_spec


def load_labeler(spec: str) -> Labeler:
    """Return the labeler of ``name:ARG`` or, from a command line, ``package.module:Object``."""
    parsed = parse_spec(spec)
    make = load_object(spec) if parsed.is_object else load("labelers", parsed.name)
    labeler: Labeler = make("" if parsed.is_object else parsed.arg)
    return labeler


class Relabeling:
    """What is done to the `meta` and `group` of every record.

    labelers: by their specs, in turn: each sees what those before it found, and fills what is
    missing; keys that are there stay, unless `overwrite`. maps: new values by key and folded old
    value. assignments: win over all else; None takes the key away. group: keys whose values make
    the new group.
    """

    def __init__(
        self,
        labelers: Mapping[str, Labeler],
        *,
        assignments: Mapping[str, Any] | None = None,
        maps: Mapping[str, Mapping[str, Any]] | None = None,
        group: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        self._labelers = labelers
        self._assignments = assignments or {}
        self._maps = maps or {}
        self._group = tuple(group)
        self._overwrite = overwrite
        self.coverage = Coverage(labelers)
        self.unmapped: dict[str, Counter[str]] = {key: Counter() for key in self._maps}
        self.ungrouped = 0

    def apply(self, record: Record, where: str, rejects: Rejects) -> Record:
        """Return the record with its new meta: the same object if nothing changes.

        A labeler that cannot decide is a reject; the record goes on without its labels.
        """
        meta = self._labelled(record, where, rejects)
        for key in self._maps:
            if key in meta:
                put_meta(meta, key, self._mapped(key, meta_values({"meta": meta}, key)))
        for key, value in self._assignments.items():
            put_meta(meta, key, value)
        self.coverage.count(meta)
        changed = record if meta == record["meta"] else record | {"meta": meta}
        return self._regrouped(changed)

    def _labelled(self, record: Record, where: str, rejects: Rejects) -> Meta:
        """Return a record's meta with what the labelers know."""
        meta = dict(record["meta"])
        for spec, labeler in self._labelers.items():
            try:
                known = labeler(record | {"meta": meta})
            except Reject as reject:
                rejects.add(where, reject.reason, reject.detail, id=record["id"])
                continue
            if known is None:
                continue
            new = []
            for key, value in known.items():
                if not is_value(value):
                    raise DataError(where, f"{spec} gives {key} {value!r:.40}: not for meta")
                if says_nothing(key, value):
                    continue
                if self._overwrite or says_nothing(key, meta.get(key)):
                    meta[key] = value
                    new.append(key)
            self.coverage.count_labels(spec, new)
        return meta

    def _mapped(self, key: str, values: Sequence[Any]) -> Any:
        new: list[Any] = []
        for value in values:
            folded = fold(str(value))
            if folded not in self._maps[key]:
                self.unmapped[key][str(value)] += 1
            found = self._maps[key].get(folded, value)
            new += found if isinstance(found, list) else [found]
        return one_or_several(new)

    def _regrouped(self, record: Record) -> Record:
        if not self._group:
            return record
        values = [meta_values(record, key) for key in self._group]
        if not all(values):
            self.ungrouped += 1
            return record
        # Names as people write them: two spellings of one artist must not part a piece's twins.
        folded = [sorted(fold(str(value)) for value in several) for several in values]
        group = short_hash(orjson.dumps(["group", *folded]))
        return record if record["group"] == group else record | {"group": group}

    def report(self) -> list[str]:
        """Return what happened, in lines for the user."""
        lines = self.coverage.lines()
        for labeler in self._labelers.values():
            if isinstance(labeler, NotingLabeler):
                lines += labeler.notes()
        for key, counts in self.unmapped.items():
            if counts:
                values = ", ".join(f"{value:.40} {count}" for value, count in counts.most_common(6))
                more = f" and {len(counts) - 6} more" * (len(counts) > 6)
                lines.append(f"--map does not name these values of {key}: {values}{more}")
        if self.ungrouped:
            lines.append(f"--group: {self.ungrouped} records lack a key and keep their group")
        return lines


def plan(
    labelers: Sequence[str],
    assignments: Sequence[str],
    maps: Sequence[str],
    group: str | None,
    overwrite: bool,
) -> Relabeling:
    """Return the relabeling that the options of `toklabel` ask for.

    Raises UsageError where they ask for nothing or for what cannot be.
    """
    if not labelers and not assignments and not maps and group is None:
        raise UsageError("nothing to do: give --from, --set, --map or --group")
    mapped = [read_map(text) for text in maps]
    for key, _ in mapped:
        if [name for name, _ in mapped].count(key) > 1:
            raise UsageError(f"--map {key} is given twice")
    keys = [key.strip() for key in group.split(",")] if group is not None else []
    if not all(keys):
        raise UsageError(f"--group {group!r} is not a list of keys like artist,title")
    return Relabeling(
        {spec: load_labeler(spec) for spec in labelers},
        assignments=read_assignments(assignments),
        maps=dict(mapped),
        group=keys,
        overwrite=overwrite,
    )
