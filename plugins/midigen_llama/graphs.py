"""Sampling on a CUDA GPU: a step of one id a row is recorded once and then played.

A step has some twenty small operations a layer. To launch them one by one takes the processor
longer than the GPU computes; a recorded graph is one launch (CUDA C++ Programming Guide, "CUDA
Graphs"). What is recorded has fixed shapes and addresses. So the place where a step writes is a
number on the GPU, it looks at a fixed number of places of which a mask hides those that are not
there yet, and a recording belongs to the memory of a cache.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from midigen.layers.cache import Cache
from midigen_llama.decoder import Decoder

if TYPE_CHECKING:
    from midigen_llama.model import Llama

SHORTEST = 256
"""Places that a recording looks at, at least; twice as many each time that they do not do."""
MOST = 64
"""Recordings that are kept."""
_WARM_UP = 3
"""Runs before one is recorded: in the first, libraries take memory and choose their kernels."""

Work = Callable[[], Tensor]
Recording = tuple[Callable[[], object], Tensor]
"""What plays it, and where the result then is."""


class Inputs(NamedTuple):
    """Where a recording reads what differs from step to step."""

    ids: Tensor  # (B, 1)
    place: Tensor  # (1,): where they are written
    starts: Tensor  # (B,)


Recorded = tuple[Inputs, Recording]


class GraphDecoder(Decoder):
    """`Decoder` whose steps of one id a row are recorded by `record`, the second with a cache.

    Where that fails, steps run one operation after the other, and a warning says why.
    """

    def __init__(
        self, model: "Llama", precision: str, record: Callable[[Work], Recording] | None = None
    ) -> None:
        super().__init__(model, precision)
        self._record = record or on_cuda
        self._fails = False
        self._recorded: dict[tuple[int, ...], Recorded | None] = {}

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return logits (B, T, V).

        To be called in inference mode, or always without.
        """
        if ids.shape[1] != 1 or self._fails:
            return super().step(ids, cache)
        cache.check_room(1)
        # More than the length, a power of two: few recordings serve all lengths.
        seen = min(cache.capacity, max(SHORTEST, 1 << cache.length.bit_length()))
        kept = (tensor.data_ptr() for tensor in (*cache.keys, *cache.values))
        key = (seen, cache.batch, cache.capacity, *kept)
        if key not in self._recorded:
            # Some caches are for one step only.
            self._add(key, None)
            return super().step(ids, cache)
        recorded = self._recorded[key] or self._add(key, self._tried(ids, cache, seen))
        if recorded is None:
            return super().step(ids, cache)
        inputs, (play, logits) = recorded
        inputs.ids.copy_(ids)
        inputs.place.fill_(cache.length)
        inputs.starts.copy_(cache.starts)
        play()
        cache.advance(1)
        return logits.clone()

    def _add(self, key: tuple[int, ...], found: Recorded | None) -> Recorded | None:
        """Keep `found`, and forget what was kept first of too many."""
        self._recorded[key] = found
        if len(self._recorded) > MOST:
            del self._recorded[next(iter(self._recorded))]
        return found

    def _tried(self, ids: Tensor, cache: Cache, seen: int) -> Recorded | None:
        """Record a step that looks at the first `seen` places; None where that fails."""
        place = torch.full((1,), cache.length, device=ids.device)
        inputs = Inputs(ids.clone(), place, cache.starts.clone())
        self._turn(cache.capacity - 1, 1)
        turns, places = self._turns, torch.arange(seen, device=ids.device)
        keys, values = list(cache.keys), list(cache.values)

        def keep(layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            keys[layer].index_copy_(2, inputs.place, key)
            values[layer].index_copy_(2, inputs.place, value)
            return keys[layer][:, :, :seen], values[layer][:, :, :seen]

        def work() -> Tensor:
            # A place of padding sees itself, as in `Cache.mask`.
            is_here = places == inputs.place
            is_before = (places < inputs.place) & (places >= inputs.starts[:, None])
            mask = (is_before | is_here)[:, None, None]
            return self._read(inputs.ids, turns[inputs.place], keep, mask)

        try:
            return inputs, self._record(work)
        except RuntimeError as error:
            self._fails = True
            reason = str(error).partition("\n")[0]
            warnings.warn(f"sampling without CUDA graphs: {reason}", RuntimeWarning, stacklevel=2)
            return None


def on_cuda(work: Work) -> Recording:
    """Record what `work` does on the GPU.

    Raises RuntimeError where it cannot be recorded, or gives something else when it is played.
    """
    with torch.cuda.device(work().device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                wanted = work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = work()
        graph.replay()
    if not torch.allclose(found, wanted, rtol=1e-3, atol=1e-3):
        raise RuntimeError("what was recorded gives other logits")
    return graph.replay, found
