"""Damage to MIDI files as transfers, disks and programs do it: a function of the seed alone."""

import random
import re
from collections.abc import Callable

BLOCKS = (1, 2, 4, 64, 512, 4096)


def flip(rng: random.Random, data: bytearray) -> None:
    """Flip one to sixteen bits."""
    for _ in range(rng.choice([1, 2, 4, 16])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, data: bytearray) -> None:
    """Lose the end: a download that broke."""
    del data[rng.randrange(len(data)) :]


def drop(rng: random.Random, data: bytearray) -> None:
    """Lose a block."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice(BLOCKS)]


def insert(rng: random.Random, data: bytearray) -> None:
    """Get a block of noise."""
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice(BLOCKS))


def repeat(rng: random.Random, data: bytearray) -> None:
    """Get a block twice."""
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice(BLOCKS)]


def chunk(rng: random.Random, data: bytearray) -> None:
    """Get a chunk: in front of another or anywhere, its length right or wrong."""
    starts = [found.start() for found in re.finditer(b"MTrk", data)]
    at = rng.choice(starts) if starts and rng.random() < 0.5 else rng.randrange(len(data) + 1)
    body = rng.randbytes(rng.randrange(40))
    size = rng.choice([len(body), len(body), 0, len(body) + 1, 2**31, 2**32 - 1])
    name = rng.choice([b"XFIH", b"MTrk", b"MThd", b"\0\0\0\0", rng.randbytes(4)])
    data[at:at] = name + size.to_bytes(4) + body


def length(rng: random.Random, data: bytearray) -> None:
    """Change the length of a chunk."""
    starts = [found.start() for found in re.finditer(b"MT(hd|rk)", data)]
    at = rng.choice(starts or [0])
    data[at + 4 : at + 8] = rng.choice(
        [0, 1, 6, 100, 2**16, 2**32 - 1, rng.getrandbits(32)]
    ).to_bytes(4)


def header(rng: random.Random, data: bytearray) -> None:
    """Change the format, the number of tracks or the division."""
    at = rng.choice([8, 10, 12])
    data[at : at + 2] = rng.choice([0, 1, 2, 3, 24, 0x7FFF, 0xE250, 0xFFFF]).to_bytes(2)


def wrap(rng: random.Random, data: bytearray) -> None:
    """Get something in front and something behind."""
    front = rng.choice([b"RIFF\0\0\0\0RMIDdata\0\0\0\0", bytes(128), b"HTTP/1.0 200 OK\r\n\r\n"])
    data[:0] = front
    data += rng.choice([b"", bytes(500), b"\r\n", b"LIST\4\0\0\0INFO", rng.randbytes(40)])


def text(_: random.Random, data: bytearray) -> None:
    """Be sent as text: a CR in front of every LF."""
    data[:] = data.replace(b"\n", b"\r\n")


def deltas(rng: random.Random, data: bytearray) -> None:
    """Get the longest delta times there are, and longer ones."""
    for _ in range(rng.choice([1, 4])):
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice([b"\xff\xff\xff\x7f", b"\xff" * 9 + b"\x7f"])


MUTATIONS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(flip, cut, drop, insert, repeat, chunk, length, header, wrap, text, deltas),
)


def mutate(data: bytes, seed: int) -> tuple[str, bytes]:
    """Return damaged `data` and what was done to it: one thing, sometimes three."""
    rng = random.Random(seed)
    damaged = bytearray(data)
    done = []
    for _ in range(rng.choice([1, 1, 1, 3])):
        mutation = rng.choice(MUTATIONS)
        if damaged:
            mutation(rng, damaged)
            done.append(mutation.__name__)
    return "+".join(done), bytes(damaged)
