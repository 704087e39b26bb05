"""JSON Lines in and out: packed or plain, whole or broken, nothing lost."""

import gzip
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import jsonlines
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from midigen.errors import DataError
from midigen.jsonl import RecordReader, RecordWriter, compressed, dumps, loads, open_input
from midigen.rejects import Rejects

TOK = "remi#0123abcd"
LINE = b'{"id":"a","tok":"remi#0123abcd","ids":[1,2]}\n'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip


def read(path: Path | str, rejects: Rejects | None = None) -> list[dict[str, Any]]:
    return list(RecordReader([str(path)], rejects or Rejects(strict=True)))


def put(folder: Path, data: bytes, name: str = "x.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@given(json_values)
def test_any_json_value_comes_back_as_it_was(value: Any) -> None:
    line = dumps({"value": value})
    assert b"\n" not in line
    assert loads(line) == json.loads(line) == {"value": value}
    # Equal is not the same: 1 == 1.0 == True.
    assert repr(loads(line)) == repr({"value": value})


def test_whole_numbers_past_64_bits_keep_every_digit() -> None:
    line = b'{"x":123456789012345678901234567890,"y":[-18446744073709551617],"z":1e300}'
    assert loads(line)["x"] == 123456789012345678901234567890
    assert loads(line)["y"] == [-18446744073709551617]
    assert json.loads(dumps(loads(line))) == json.loads(line)


def test_arrays_are_written_as_lists() -> None:
    for dtype in (np.uint8, np.uint16, np.uint32, np.int64):
        ids = np.arange(5, dtype=dtype)
        assert dumps({"ids": ids}) == b'{"ids":[0,1,2,3,4]}'
        assert json.loads(dumps({"ids": ids, "big": 2**70})) == {
            "ids": [0, 1, 2, 3, 4],
            "big": 2**70,
        }


@pytest.mark.parametrize(
    "text", [b"NaN", b'{"x":NaN}', b'{"x":Infinity}', b"{", b"", b'{"x":\xff}', b'{"x":1}{"y":2}',
             b'{"big":123456789012345678901234567890,"x":NaN}']
)  # fmt: skip
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_nan_is_never_written() -> None:
    assert dumps({"x": math.nan}) == b'{"x":null}'


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_packed_or_plain_is_known_by_its_bytes(tmp_path: Path, pack: Any) -> None:
    assert [r["ids"] for r in read(put(tmp_path, pack(LINE * 3), "any.name"))] == [[1, 2]] * 3


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_packed_files_can_be_joined(tmp_path: Path, pack: Any) -> None:
    assert len(read(put(tmp_path, pack(LINE * 2) + pack(LINE * 3)))) == 5


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("cut", [1, 5, 20])
def test_cut_packed_stream_is_an_error_behind_its_records(
    tmp_path: Path, pack: Any, cut: int
) -> None:
    lines = b"".join(b'{"id":"%d","tok":"%s","ids":[%d]}\n' % (i, TOK.encode(), i * i)
                     for i in range(9000))  # fmt: skip
    reader = RecordReader([str(put(tmp_path, pack(lines)[:-cut]))], Rejects(strict=True))
    with pytest.raises(DataError):
        for _ in reader:
            pass
    assert reader.count <= 9000


def test_last_line_without_lf_is_an_error_behind_its_records(tmp_path: Path) -> None:
    path = put(tmp_path, LINE * 2 + LINE[:-1])
    reader = RecordReader([str(path)], Rejects(strict=True))
    found = []
    with pytest.raises(DataError) as error:
        found.extend(reader)
    assert len(found) == 2
    assert str(error.value).startswith(f"{path}:3: the last line has no LF")


def test_empty_stream_has_no_records(tmp_path: Path) -> None:
    assert read(put(tmp_path, b"")) == []


def test_bad_lines_are_rejects_with_their_place(tmp_path: Path) -> None:
    bad = b'{"id"\n\n[1]\n{"id":"a"}\n\xff\n'
    path = put(tmp_path, LINE + bad + LINE)
    log = io.BytesIO()
    rejects = Rejects(log)
    assert len(read(path, rejects)) == 2
    listed = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [entry["src"] for entry in listed] == [f"{path}:{n}" for n in range(2, 7)]
    assert [entry["reason"] for entry in listed] == ["json", "json", "record", "record", "json"]
    assert rejects.summary() == "5 rejected (3 json, 2 record)"
    with pytest.raises(DataError, match=r"x\.jsonl:2: json"):
        read(path)


def test_files_follow_one_another_and_the_place_with_them(tmp_path: Path) -> None:
    one, two = put(tmp_path, LINE * 2, "1"), put(tmp_path, gzip.compress(LINE), "2")
    reader = RecordReader([str(one), str(two)], Rejects())
    assert [reader.where for _ in reader] == [f"{one}:1", f"{one}:2", f"{two}:1"]
    assert reader.count == 3


def test_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(LINE))))
    reader = RecordReader([], Rejects())
    assert [reader.where for _ in reader] == ["<stdin>:1"]


def test_raw_is_the_line_as_it_was(tmp_path: Path) -> None:
    odd = b'{ "id":"a" , "tok":"remi#0123abcd","ids":[1],"x":1.50e0}\n'
    reader = RecordReader([str(put(tmp_path, odd))], Rejects())
    out = io.BytesIO()
    writer = RecordWriter(out)
    for record in reader:
        writer.write_raw(reader.raw)
        writer.write(record)
    assert writer.count == 2
    assert out.getvalue().splitlines(keepends=True)[0] == odd
    assert json.loads(out.getvalue().splitlines()[1])["x"] == 1.5


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    records = [{"id": str(i), "tok": TOK, "ids": list(range(i)), "ü": "\u2028"} for i in range(50)]
    with (tmp_path / name).open("wb") as file:
        packed = compressed(file, name)
        writer = RecordWriter(packed)
        for record in records:
            writer.write(record)
        if packed is not file:
            packed.close()
    found = read(tmp_path / name)
    assert [{key: r[key] for key in ("id", "tok", "ids", "ü")} for r in found] == records
    if name == "x.jsonl":
        with jsonlines.open(tmp_path / name) as lines:
            assert list(lines) == records


def test_packing_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.gz", "a.zst"):
        packed = []
        for _ in range(2):
            file = io.BytesIO()
            writer = compressed(file, name)
            writer.write(LINE)
            writer.close()
            packed.append(file.getvalue())
        assert packed[0] == packed[1]


def test_missing_file_says_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        open_input(str(tmp_path / "gone.jsonl"))
