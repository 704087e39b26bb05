"""Files through an executor in chunks; of a chunk that fails, file by file."""

from collections.abc import Callable, Generator, Iterable, Iterator

from midigen.encoding import Lines
from midigen.protocols import Executor, Fault
from midigen.sources import Source, name_of, size_of

# Array code pays by the call and pipes by the message, so that files travel together. The first
# chunks are small: a few files, too, keep all workers busy.
MOST_FILES, MOST_BYTES = 64, 1 << 19
FIRST_FILES = 4

Encode = Callable[[list[Source]], Lines]


def encode_files(
    sources: Iterable[Source], encode: Encode, executor: Executor, jobs: int, timeout: float
) -> Generator[tuple[int, Lines]]:
    """Yield (number of files, their lines) in the order of `sources`.

    timeout: seconds that one file may take. A chunk, too, gets this time; if it needs more, or its
    worker dies, its files are tried one by one, and the guilty ones alone are rejects: ``crash``,
    ``timeout``, ``error``.
    """
    in_flight = 4 * jobs
    for chunk, lines in executor.imap(encode, chunked(sources, jobs), timeout, in_flight):
        if not isinstance(lines, Fault):
            yield len(chunk), lines
        elif len(chunk) == 1:
            yield 1, rejected(chunk[0], lines)
        else:
            alone = ([source] for source in chunk)
            for (source,), single in executor.imap(encode, alone, timeout, in_flight):
                yield 1, rejected(source, single) if isinstance(single, Fault) else single


def rejected(source: Source, fault: Fault) -> Lines:
    return Lines(rejects=[(name_of(source), fault.reason, fault.detail)])


def chunked(sources: Iterable[Source], jobs: int) -> Iterator[list[Source]]:
    """Yield `sources` in lists of at most `MOST_FILES`; of `MOST_BYTES` unless one is larger."""
    chunk: list[Source] = []
    size = made = 0
    for source in sources:
        more = size_of(source)
        if chunk and (size + more > MOST_BYTES or len(chunk) >= _length(made, jobs)):
            yield chunk
            chunk, size, made = [], 0, made + 1
        chunk.append(source)
        size += more
    if chunk:
        yield chunk


def _length(made: int, jobs: int) -> int:
    """Return how many files the next chunk may hold: more with every round of the workers."""
    return min(MOST_FILES, FIRST_FILES << min(made // jobs, 8))
