"""What was not used, and why: counted, listed, never lost."""

from collections import Counter
from types import TracebackType
from typing import BinaryIO

from midigen.errors import DataError


class Rejects:
    """Counts rejects by reason and writes each as a JSON line where a file is given.

    strict: the first reject, once it is listed, raises DataError.
    """

    def __init__(self, file: BinaryIO | None = None, *, strict: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self._file = file
        self._strict = strict

    def add(self, where: str, reason: str, detail: str = "", **more: object) -> None:
        """Record one reject: `where` is ``file:line`` or a path, `reason` a short word."""
        self.counts[reason] += 1
        if self._file is not None:
            import orjson

            line = {"src": where, "reason": reason, "detail": detail} | more
            # One write a line, unbuffered by the caller: a log is append-only and in whole lines.
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if self._strict:
            raise DataError(where, f"{reason}: {detail}" if detail else reason)

    @property
    def total(self) -> int:
        return self.counts.total()

    def summary(self, word: str = "rejected") -> str:
        """Return ``3 rejected (2 no_notes, 1 parse)``, or an empty string."""
        if not self.counts:
            return ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts.most_common())
        return f"{self.total} {word} ({reasons})"

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "Rejects":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
