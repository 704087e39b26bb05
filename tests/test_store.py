"""The token store: what goes in comes out, sealed, whatever the order."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hand_records import piece, record_of
from training_data import pieces, source_of, store_of

from midigen.errors import MidigenError
from midigen.spool import check_same, clear
from midigen.store import NO_SPLIT, Store


def test_every_piece_comes_back(tmp_path: Path) -> None:
    records = pieces(20)
    store = store_of(tmp_path, records)
    assert len(store) == 20 and store.tokens == sum(len(r["ids"]) for r in records)
    for row, record in zip(store.rows, records, strict=True):
        start, end = int(row["offset"]), int(row["offset"]) + int(row["length"])
        assert store.ids[start:end].tolist() == record["ids"]
        assert row["notes"] == record["n"]["notes"] and row["bars"] == record["n"]["bars"]
        genre, year = record["meta"]["genre"], record["meta"].get("year")
        place = int(np.flatnonzero(store.rows["key"] == row["key"])[0])
        assert store.values(place, "genre") == (genre if isinstance(genre, list) else [genre])
        assert store.values(place, "era") == ([f"{year // 10 * 10}s"] if year else [])
    assert store.ids.dtype == np.uint16


def test_opened_again_it_is_the_same(tmp_path: Path) -> None:
    store = store_of(tmp_path, pieces(5))
    again = Store(tmp_path / "store")
    assert again.digest == store.digest and (again.rows == store.rows).all()


def test_digest_knows_the_set_not_the_order(tmp_path: Path) -> None:
    records = pieces(12)
    shuffled = random.Random(1).sample(records, 12)
    digests = [
        store_of(tmp_path, chosen, name).digest
        for name, chosen in (("a", records), ("b", shuffled), ("c", records[1:]))
    ]
    assert digests[0] == digests[1] != digests[2]
    changed = records[0] | {"meta": {"genre": "polka"}}
    assert store_of(tmp_path, [changed, *records[1:]], "d").digest != digests[0]


def test_a_given_stream_must_be_the_one_that_was_spooled(tmp_path: Path) -> None:
    store = store_of(tmp_path, pieces(6))
    check_same(source_of(tmp_path, reversed(pieces(6))), store)
    with pytest.raises(MidigenError, match="another stream"):
        check_same(source_of(tmp_path, pieces(5)), store)


def test_counts_bars_of_hand_made_lines_and_knows_unknown_notes(tmp_path: Path) -> None:
    record = record_of(["Bar_None", "Position_0", "Bar_None"], n={})
    store = store_of(tmp_path, [record])
    assert store.rows["bars"].tolist() == [2] and store.rows["notes"].tolist() == [-1]


def test_named_splits_and_copies_are_kept(tmp_path: Path) -> None:
    records = [piece(0), piece(1) | {"meta": {"split": "validation"}}]
    records.append(piece(2) | {"aug": {"shift": -2}})
    store = store_of(tmp_path, records)
    assert store.rows["named"].tolist() == [NO_SPLIT, 1, NO_SPLIT]
    assert store.rows["copy"].tolist() == [0, 0, 1]
    assert store.seal["augs"] == {"shift": [-2, -2]}


def test_groups_are_read_back_in_stream_order(tmp_path: Path) -> None:
    records = [*pieces(4), piece(1) | {"aug": {"shift": 1}}]
    store = store_of(tmp_path, records)
    assert store.groups(np.ones(5, bool)) == [r["group"] for r in records[:4]]
    assert store.groups(np.array([0, 0, 1, 0, 0], bool)) == [records[2]["group"]]


def test_without_its_seal_it_is_no_store(tmp_path: Path) -> None:
    store_of(tmp_path, pieces(3))
    (tmp_path / "store/store.json").unlink()
    with pytest.raises(MidigenError, match="no sealed token store"):
        Store(tmp_path / "store")
    clear(tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["ids.bin", "index.bin"])
def test_a_cut_file_is_noticed(tmp_path: Path, name: str) -> None:
    store_of(tmp_path, pieces(3))
    path = tmp_path / "store" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(MidigenError, match="its seal says"):
        Store(tmp_path / "store")


def test_a_store_of_the_future_is_refused(tmp_path: Path) -> None:
    store_of(tmp_path, pieces(2))
    seal = tmp_path / "store/store.json"
    seal.write_text(json.dumps(json.loads(seal.read_text()) | {"version": 99}))
    with pytest.raises(MidigenError, match="another version"):
        Store(tmp_path / "store")
