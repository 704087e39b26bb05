"""Sampling on a CPU with a compiled step (native/step.c), where there is one.

The library is built when midigen is installed, if there is a C compiler, and loaded with ctypes; it
knows nothing of Python. The structures here are those of step.c.
"""

import ctypes
from collections.abc import Iterator
from ctypes import c_double, c_int, c_int64, c_void_p
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midigen.errors import MidigenError
from midigen.memory import ask_for_huge_pages
from midigen_llama.config import LlamaConfig
from midigen_llama.folding import folded_head, folded_layers, turns
from midigen_llama.kept import PLACES, Kept

if TYPE_CHECKING:
    from midigen_llama.model import Llama

VERSION = 5
"""Of what this file and step.c agree on; rises where the sizes of structures do not tell."""
LANES, BLOCK = 16, 32
LINE, CHUNK = 64, 32 << 20
"""Bytes: of a line of a cache, and of what is taken at once for weights, behind one another."""
WIDEST = 1 << 16
"""Inputs of a matrix: of more, whole numbers of int8 would not fit 32 bits."""
MOST_HEAD, MOST_PLACES = 512, 1 << 16
"""Of keys and values in bytes, for the same reason."""
PRECISIONS = {"fp32": 0, "bf16": 1, "int8": 2}
"""`enum precision` of products.h; the library says how it wants them."""
IN_FOURS, IN_PAIRS = 3, 4
SCALE = 4
"""Bytes behind a key, or value, in bytes."""
FAULTS = {1: "no memory for a step", 2: "an id that is not in the vocabulary"}


class Matrix(ctypes.Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("weights", "scale", "sums")),
        *((name, c_int64) for name in ("outputs", "inputs")),
    )


class Layer(ctypes.Structure):
    _fields_ = tuple((name, Matrix) for name in ("qkv", "out", "gate_up", "down"))


SIZES = ("width", "heads", "groups", "head", "inner", "vocab", "layers", "precision")


class Model(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in SIZES),
        ("eps", c_double),
        ("table", c_void_p),
        ("layer", ctypes.POINTER(Layer)),
        ("logits", Matrix),
    )


class Step(ctypes.Structure):
    _fields_ = (
        ("batch", c_int64),
        ("count", c_int64),
        ("ids", c_void_p),
        ("starts", c_void_p),
        ("length", c_int64),
        ("rows", c_int64),
        ("kept", c_void_p),
        ("turns", c_void_p),
        ("result", c_void_p),
    )


BUILDS = ("amx", "bf16", "vnni", "avx512", "avx2", "plain")
"""What the library is built for, the best first; see pyproject.toml."""


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled step, None where midigen was installed without a compiler."""
    return next(libraries(), None)


def libraries() -> Iterator[ctypes.CDLL]:
    """Yield the builds that run here, the best first."""
    for build in BUILDS:
        for path in Path(__file__).parent.glob(f"_step_{build}.*"):
            try:
                found = ctypes.CDLL(str(path))
            except OSError:  # built for another machine
                continue
            if _is_ours(found) and found.midigen_runs():
                found.midigen_step.argtypes = (ctypes.POINTER(Model), ctypes.POINTER(Step), c_int)
                yield found


def _is_ours(found: ctypes.CDLL) -> bool:
    """Return whether a library was built from the structures of this file."""
    sizes = (ctypes.sizeof(Model), ctypes.sizeof(Layer), ctypes.sizeof(Step))
    return hasattr(found, "midigen_layout") and found.midigen_layout() == _mixed(
        VERSION, PLACES, *sizes
    )


def _mixed(*numbers: int) -> int:
    """Return one number for several; `midigen_layout` does the same."""
    return reduce(lambda mixed, number: (mixed * 1009 + number) % 1000003, numbers, 0)


def can_step(config: LlamaConfig, weight: Tensor) -> bool:
    """Return whether there is a compiled step for such a model, where its weights are."""
    fits = config.head % LANES == 0 and weight.dtype == torch.float32
    fits = fits and max(config.width, config.inner) < WIDEST and config.head <= MOST_HEAD
    return fits and weight.device.type == "cpu" and library() is not None


class NativeDecoder(nn.Module):
    """`Llama` for sampling: `new_cache` and `step` as there. Its cache holds keys in its own order.

    precision: of the weights, one of `PRECISIONS`. Beside weights narrower than fp32 keys and
    values are kept in bytes, each with a scale, and what is multiplied has 16 bits where the
    processor multiplies such; all else is fp32. A row's logits are the same to the last bit
    whatever is read beside it, and whatever the number of threads.
    """

    is_compiled = True

    def __init__(self, model: "Llama", precision: str) -> None:
        super().__init__()
        found = library()
        assert found is not None
        self._library, self.model = found, model
        c = self.config = model.config
        self._kind = int(found.midigen_kind(PRECISIONS[precision]))
        self._depth = int(found.midigen_depth())
        is_whole = precision == "fp32"
        self._kept_in = torch.float32 if is_whole else torch.int8
        self._row = c.head if is_whole else c.head + SCALE
        self._kept: list[Tensor] = []  # what the structures point at
        self._free = torch.empty(0, dtype=torch.uint8)  # where more of it goes
        self._vocab = len(model.model.embed_tokens.weight)
        self._turns = torch.empty(0)
        with torch.no_grad():
            layers = [
                Layer(
                    self._matrix(folded.qkv),
                    self._matrix(folded.out),
                    self._matrix(_beside(folded.gate, folded.up)),
                    self._matrix(_padded(folded.down, 1, LANES)),
                )
                for folded in folded_layers(model)
            ]
            self._model = Model(
                width=c.width,
                heads=c.heads,
                groups=c.groups,
                head=c.head,
                inner=-(-c.inner // LANES) * LANES,
                vocab=self._vocab,
                layers=c.layers,
                precision=self._kind,
                eps=c.eps,
                table=self._keep(model.model.embed_tokens.weight.detach()),
                layer=(Layer * c.layers)(*layers),
                logits=self._matrix(folded_head(model)),
            )

    def new_cache(self, batch: int, length: int) -> Kept:
        """Return an empty cache for `batch` rows of up to `length` places.

        Raises MidigenError where these are too many for bytes.
        """
        c = self.config
        if self._kept_in == torch.int8 and length >= MOST_PLACES:
            raise MidigenError(
                f"in bf16 and int8 a sample has fewer than {MOST_PLACES} places, not {length}: "
                "take fp32"
            )
        return Kept(batch, length, c.layers, c.groups, self._row, self._kept_in)

    def step(self, ids: Tensor, cache: Kept) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return logits (B, T, V).

        Raises MidigenError where the cache has no room for them.
        """
        B, T = ids.shape
        cache.check_room(T)
        kept = cache.memory
        if cache.batch != B or kept.dtype != self._kept_in or not self._fits(kept.shape):
            raise MidigenError(f"{B} rows do not fit a cache of {cache.batch} in {kept.dtype}")
        ids, starts = ids.to(torch.int64).contiguous(), cache.starts.contiguous()
        table, result = self._turned(cache.length + T), torch.empty(B, T, self._vocab)
        step = Step(
            B,
            T,
            ids.data_ptr(),
            starts.data_ptr(),
            cache.length,
            cache.rows,
            kept.data_ptr(),
            table[cache.length].data_ptr(),
            result.data_ptr(),
        )
        # No more threads than blocks of the narrowest matrix, for each row.
        threads = min(torch.get_num_threads(), -(-self.config.width // BLOCK) * B * T)
        fault = self._library.midigen_step(self._model, step, threads)
        if fault:
            raise MidigenError(f"sampling: {FAULTS[fault]}")
        cache.advance(T)
        return result

    def _fits(self, shape: torch.Size) -> bool:
        """Return whether a cache's memory has the shape of this model's."""
        c = self.config
        return shape[1:3] == (c.layers, 2) and shape[4:] == (c.groups, PLACES, self._row)

    def _turned(self, count: int) -> Tensor:
        """Return cosines and sines (count or more, 1, D/2, 2) of the first places; they grow."""
        if len(self._turns) < count:
            c = self.config
            table = turns(max(1024, 2 * count), c.head, c.theta, torch.device("cpu"))
            self._turns = torch.view_as_real(table).contiguous()
        return self._turns

    def _keep(self, values: Tensor) -> int:
        """Return where values are, for as long as this decoder is."""
        size = -(-values.nbytes // LINE) * LINE
        if len(self._free) < size:
            # In huge pages: they are read from front to back, again and again. (Not so the cache,
            # of which much may never be written: its pages would all be there from the start.)
            self._free = torch.empty(max(size, CHUNK), dtype=torch.uint8)
            start = self._free.data_ptr()
            ask_for_huge_pages(start, start + len(self._free))
        taken, self._free = self._free.split((size, len(self._free) - size))
        kept = taken[: values.nbytes].view(values.dtype).view(values.shape)
        self._kept.append(kept.copy_(values))
        return kept.data_ptr()

    def _matrix(self, weight: Tensor) -> Matrix:
        """Lay a matrix (N, K) out as products.h and pairs.h say."""
        N, K = weight.shape
        weight = _padded(weight, 0, BLOCK)
        if self._kind in (PRECISIONS["fp32"], PRECISIONS["bf16"]):
            wanted = torch.float32 if self._kind == PRECISIONS["fp32"] else torch.bfloat16
            blocks = weight.to(wanted).unflatten(0, (-1, BLOCK)).transpose(1, 2)
            return Matrix(self._keep(blocks), None, None, N, K)
        if self._kind == IN_PAIRS:
            pairs = _padded(weight, 1, self._depth).bfloat16().unflatten(1, (-1, 2))
            blocks = pairs.unflatten(0, (-1, BLOCK)).transpose(1, 2)
            return Matrix(self._keep(blocks), None, None, N, K)
        scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
        whole = (weight / scale[:, None]).round().to(torch.int8)
        sums = whole.sum(1, dtype=torch.int32)
        if self._kind == IN_FOURS:
            whole = _padded(whole, 1, self._depth).unflatten(1, (-1, 4))
        blocks = whole.unflatten(0, (-1, BLOCK)).transpose(1, 2)
        return Matrix(self._keep(blocks), self._keep(scale), self._keep(sums), N, K)


def _padded(weight: Tensor, dim: int, multiple: int) -> Tensor:
    """Return a matrix with zeros behind its rows (dim 0) or columns (1), to a multiple."""
    more = -weight.shape[dim] % multiple
    return F.pad(weight, (0, more) if dim == 1 else (0, 0, 0, more)) if more else weight


def _beside(gate: Tensor, up: Tensor) -> Tensor:
    """Return LANES rows of one, the same of the other, and so on."""
    rows = (_padded(part, 0, LANES).unflatten(0, (-1, LANES)) for part in (gate, up))
    return torch.stack(tuple(rows), dim=1).flatten(0, 2)
