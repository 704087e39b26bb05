"""Sampling with PyTorch: on GPUs, and where there is no compiled step (`midigen_llama.native`).

The same model with its weights laid out for reading one id at a time. A step for one row is bound
by reading the weights, and for small models by the number of operations. So the projections that
read the same are one matrix, the norms' weights and attention's scale are multiplied into them, and
the dimensions that rotary embeddings turn together stand side by side, which makes turning them one
product of complex numbers. In int8 each row of a matrix has its scale, and what is multiplied with
it is quantized as it comes (as in LLM.int8, Dettmers et al., arXiv 2208.07339, without its
outliers).
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midigen.devices import cpu_flags
from midigen.errors import MidigenError
from midigen.layers.cache import Cache
from midigen_llama.folding import folded_head, folded_layers, turns

if TYPE_CHECKING:
    from midigen_llama.model import Llama

Product = Callable[[Tensor], Tensor]
"""(..., K) to (..., N)."""
Keep = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Keeps a layer's new keys and values (B, G, T, D); returns those to look at, (B, G, L, D)."""
PRECISIONS = ("fp32", "bf16", "int8")


class Decoder(nn.Module):
    """`Llama` for sampling: `new_cache` and `step` as there. Its cache holds keys in its own order.

    precision: of the weights, one of `PRECISIONS`. Raises MidigenError for int8 where PyTorch has
    no such product.
    """

    def __init__(self, model: "Llama", precision: str) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._layers = []
        with torch.no_grad():
            for folded in folded_layers(model):
                gate_up = torch.cat((folded.gate, folded.up))
                weights = (folded.qkv, folded.out, gate_up, folded.down)
                self._layers.append(tuple(_product(weight, precision) for weight in weights))
            self._head = _product(folded_head(model), precision)
        self._turns = torch.empty(0)

    def new_cache(self, batch: int, length: int) -> Cache:
        """Return an empty cache for `batch` rows of up to `length` places."""
        c, device = self.config, self.model.model.embed_tokens.weight.device
        return Cache(batch, length, c.layers, c.groups, c.head, device, self.dtype)

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return logits (B, T, V).

        Raises MidigenError where the cache has no room for them.
        """
        B, T = ids.shape
        cache.check_room(T)
        if B == T == 1 and not cache.starts[0] and ids.device.type == "cpu":
            return self._one(ids[0, 0], cache)
        logits = self._read(ids, self._turn(cache.length, T), cache.append, cache.mask(T))
        cache.advance(T)
        return logits

    def _read(self, ids: Tensor, turn: Tensor, keep: Keep, mask: Tensor | None) -> Tensor:
        """Return logits (B, T, V) of ids (B, T), which turn by `turn` (T, 1, D/2)."""
        c, (B, T) = self.config, ids.shape
        x = F.embedding(ids, self.model.model.embed_tokens.weight).to(self.dtype)
        H, G, D = c.heads, c.groups, c.head
        for layer, (qkv, out, gate_up, down) in enumerate(self._layers):
            y = qkv(F.rms_norm(x, (c.width,), None, c.eps)).view(B, T, H + 2 * G, D)
            turned = torch.view_as_complex(y[:, :, : H + G].float().unflatten(-1, (-1, 2)))
            turned = torch.view_as_real(turned * turn).flatten(-2).to(self.dtype)
            q, k, v = turned[:, :, :H], turned[:, :, H:], y[:, :, H + G :]
            keys, values = keep(layer, k.transpose(1, 2), v.transpose(1, 2))
            y = F.scaled_dot_product_attention(
                q.transpose(1, 2), keys, values, attn_mask=mask, scale=1.0, enable_gqa=H != G
            )
            x = x + out(y.transpose(1, 2).reshape(B, T, H * D))
            gate, up = gate_up(F.rms_norm(x, (c.width,), None, c.eps)).chunk(2, dim=-1)
            x = x + down(F.silu(gate) * up)
        logits: Tensor = self._head(F.rms_norm(x, (c.width,), None, c.eps))
        return logits

    def _one(self, id: Tensor, cache: Cache) -> Tensor:
        """`step` for one id of one row that begins at place 0, with as few operations as can be."""
        c, place = self.config, cache.length
        H, G, D, end = c.heads, c.groups, c.head, place + 1
        x = self.model.model.embed_tokens.weight[id].to(self.dtype, copy=True)[None]
        turn = self._turn(place, 1)[0]
        for (qkv, out, gate_up, down), keys, values in zip(
            self._layers, cache.keys, cache.values, strict=True
        ):
            y = qkv(x).mul_(self._scale(x)).view(H + 2 * G, D)
            if self.dtype == torch.float32:
                torch.view_as_complex(y[: H + G].view(H + G, -1, 2)).mul_(turn)
            else:
                turned = torch.view_as_complex(y[: H + G].float().view(H + G, -1, 2)).mul_(turn)
                y[: H + G] = torch.view_as_real(turned).flatten(1)
            keys[0, :, place] = y[H : H + G]
            values[0, :, place] = y[H + G :]
            queries = y[:H].view(G, -1, D).transpose(1, 2)
            weights = torch.bmm(keys[0, :, :end], queries).transpose(1, 2).softmax(-1)
            x += out(torch.bmm(weights, values[0, :, :end]).view(1, -1))
            gate, up = gate_up(x).mul_(self._scale(x)).split(c.inner, dim=-1)
            x += down(F.silu(gate).mul_(up))
        cache.advance(1)
        return self._head(x).mul_(self._scale(x))[None]

    def _scale(self, x: Tensor) -> float:
        """Return what RMSNorm multiplies one row by."""
        row = x[0].float()
        return (float(row.dot(row)) / self.config.width + self.config.eps) ** -0.5

    def _turn(self, start: int, count: int) -> Tensor:
        """Return exp(i angle) (count, 1, D/2) of places `start` and on; the table grows."""
        if len(self._turns) < start + count:
            device = self.model.model.embed_tokens.weight.device
            c, size = self.config, max(1024, 2 * (start + count))
            self._turns = turns(size, c.head, c.theta, device)
        return self._turns[start : start + count]


def _product(weight: Tensor, precision: str) -> Product:
    """Return what multiplies by a matrix (N, K)."""
    if precision == "int8":
        return _int8(weight)
    wanted = torch.bfloat16 if precision == "bf16" else torch.float32
    # A product of one row reads a matrix faster the other way round.
    turned = weight.to(wanted).t().contiguous()
    return lambda x: x @ turned


def _int8(weight: Tensor) -> Product:
    if weight.device.type != "cpu":
        raise MidigenError("--precision int8 is for the CPU")
    engine = torch.backends.quantized.engine
    try:
        with warnings.catch_warnings():
            # That these are to be moved to another package.
            warnings.simplefilter("ignore")
            torch.backends.quantized.engine = "fbgemm"
            scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127
            zero = torch.zeros(len(weight), dtype=torch.int64)
            whole = torch.quantize_per_channel(weight.contiguous(), scale, zero, 0, torch.qint8)
            packed: Any = torch.ops.quantized.linear_prepack(whole, None)
        multiply = torch.ops.quantized.linear_dynamic
    except (AttributeError, RuntimeError) as error:
        raise MidigenError(f"this torch has no products in int8 here: {error}") from error
    finally:
        torch.backends.quantized.engine = engine
    # Older processors add up 16 bits: one bit less of what is multiplied keeps them from overflow.
    narrow = cpu_flags().isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8"})
    return lambda x: multiply(x, packed, narrow)
