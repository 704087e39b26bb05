"""Files travel in chunks, and what goes wrong with a chunk is found file by file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midigen.assignments import read_assignments
from midigen.chunks import MOST_BYTES, MOST_FILES, chunked, encode_files
from midigen.encoding import Lines
from midigen.errors import Reject, UsageError
from midigen.protocols import Fault
from midigen.rejects import Rejects
from midigen.sources import MAX_BYTES, find_sources, printable, read_source


class Here:
    """An executor without workers: what raises is an error, ``die`` a crash."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], timeout: float | None, in_flight: int
    ) -> Iterator[tuple[Any, Any]]:
        for item in items:
            self.calls.append(item)
            try:
                yield item, fn(item)
            except ValueError as error:
                yield item, Fault("error", str(error))


def encode(chunk: list[Any]) -> Lines:
    if "bad" in chunk:
        raise ValueError("bad")
    return Lines("".join(f"{name}\n" for name in chunk).encode(), files=len(chunk))


def test_chunks_hold_every_source_once_in_order() -> None:
    names = [f"{n}.mid" for n in range(1000)]
    chunks = list(chunked(iter(names), jobs=3))
    assert [name for chunk in chunks for name in chunk] == names
    sizes = [len(chunk) for chunk in chunks]
    assert sizes[:7] == [4, 4, 4, 8, 8, 8, 16]
    assert max(sizes) == MOST_FILES
    assert list(chunked([], jobs=2)) == []


def test_chunks_are_bounded_in_bytes(tmp_path: Path) -> None:
    for n in range(6):
        size = MOST_BYTES // 2 if n != 3 else 2 * MOST_BYTES
        (tmp_path / f"{n}.mid").write_bytes(bytes(size))
    chunks = list(chunked([str(tmp_path / f"{n}.mid") for n in range(6)], jobs=1))
    assert [[Path(str(name)).stem for name in chunk] for chunk in chunks] == [
        ["0", "1"], ["2"], ["3"], ["4", "5"],
    ]  # fmt: skip


def test_faulty_chunk_is_tried_file_by_file() -> None:
    executor = Here()
    names = ["a", "b", "bad", "c", "d", "e"]
    results = list(encode_files(names, encode, executor, 1, 1.0))
    assert b"".join(lines.data for _, lines in results) == b"a\nb\nc\nd\ne\n"
    assert [lines.rejects for _, lines in results if lines.rejects] == [[("bad", "error", "bad")]]
    assert sum(count for count, _ in results) == len(names)
    assert executor.calls == [
        ["a", "b", "bad", "c"], ["a"], ["b"], ["bad"], ["c"], ["d", "e"],
    ]  # fmt: skip


def test_single_faulty_file_is_not_tried_again() -> None:
    executor = Here()
    ((count, lines),) = encode_files(["bad"], encode, executor, 1, 1.0)
    assert count == 1 and lines.rejects == [("bad", "error", "bad")]
    assert len(executor.calls) == 1


def test_file_that_is_too_big_is_rejected(tmp_path: Path) -> None:
    big = tmp_path / "big.mid"
    with big.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for source in (str(big), bytes(MAX_BYTES + 1), "/dev/zero"):
        with pytest.raises(Reject, match="too_big: more than 64 MiB"):
            read_source(source)


def test_reading_a_folder_or_a_name_with_nul_is_a_reject(tmp_path: Path) -> None:
    for name in (str(tmp_path), "a\0b"):
        with pytest.raises(Reject, match="io: "):
            read_source(name)


def test_folder_that_cannot_be_listed_is_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    rejects = Rejects()
    assert list(find_sources([str(tmp_path)], rejects)) == []
    assert rejects.counts["io"] == 1


def test_link_into_another_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.mid").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "top" / "dangling.mid").symlink_to(tmp_path / "gone")
    found = list(find_sources([str(tmp_path / "top")], Rejects()))
    assert [Path(str(name)).name for name in found] == ["dangling.mid", "x.mid"]


def test_printable_keeps_text_and_escapes_broken_bytes() -> None:
    assert printable("a/ü/100%.mid") == "a/ü/100%.mid"
    assert printable(b"\xff\xc3\xa9%".decode(errors="surrogateescape")) == "%FFé%"


@pytest.mark.parametrize(
    ("texts", "meta"),
    [
        (["genre=pop"], {"genre": "pop"}),
        (["genre=pop", "genre=jazz"], {"genre": ["pop", "jazz"]}),
        (["year=1984"], {"year": 1984}),
        (["year=0"], {}),
        (["x=1.50", "y=-2", "z=007", "w=1e5"], {"x": 1.5, "y": -2, "z": "007", "w": "1e5"}),
        (["artist=1975", "title=99=1"], {"artist": "1975", "title": "99=1"}),
        (["title="], {}),
    ],
)
def test_assignments_become_meta(texts: list[str], meta: dict[str, Any]) -> None:
    assert read_assignments(texts) == meta


@pytest.mark.parametrize("text", ["genre", "=pop", "a b=c", ""])
def test_text_without_key_and_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not key=value"):
        read_assignments([text])
