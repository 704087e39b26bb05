"""Training's kernels for processors with AMX (native/), in bf16, where they are there.

The library is built when midigen is installed, if there is a C compiler, and loaded with ctypes. It
works with PyTorch's own threads. What it gives is the same bits for any number of them. Without it
PyTorch does the same work, slower.
"""

import ctypes
from collections.abc import Sequence
from ctypes import Structure, byref, c_double, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from midigen.devices import cpu_flags
from midigen.errors import MidigenError

VERSION = 2
"""Of what this file and native/ agree on; rises where the sizes of structures do not tell."""
NEEDED = {"amx_tile", "amx_bf16", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"}
"""Flags of a processor. Asked before anything of the library runs: all of it may use them."""
FAULTS = {1: "no memory", 2: "a target that is not in the vocabulary"}
EDGE = 32
"""A head has a multiple of this many dimensions."""


class _Norm(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("rows", "width")),
        *((name, c_void_p) for name in ("x", "branch", "weight")),
        ("eps", c_double),
        *((name, c_void_p) for name in ("sum", "out", "scales", "dsum", "dout", "dx", "dweight")),
    )


class _SwiGLU(Structure):
    _fields_ = (
        ("count", c_int64),
        *((name, c_void_p) for name in ("gate", "up", "out", "dout", "dgate", "dup")),
    )


class _Attention(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("batch", "length", "heads", "groups", "head")),
        *((name, c_int64) for name in ("q_step", "kv_step")),
        *((name, c_void_p) for name in ("q", "k", "v", "cosines", "sines", "starts")),
        *((name, c_void_p) for name in ("y", "logs", "dy", "dq", "dk", "dv")),
        ("scale", c_double),
        *((name, c_int64) for name in ("dropped", "seed")),
    )


class _Products(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("rows", "width", "count")),
        *((name, c_void_p) for name in ("outputs", "x", "gradients", "results")),
    )


class _Gradient(Structure):
    _fields_ = (("at", c_void_p), ("count", c_int64), ("is_half", c_int64))


class _AdamW(Structure):
    _fields_ = (
        ("gradient", _Gradient),
        *((name, c_void_p) for name in ("weight", "mean", "square", "copy")),
        *((name, c_float) for name in ("scale", "beta1", "beta2", "eps", "kept", "rate", "root")),
    )


class _AdamWSteps(Structure):
    _fields_ = (("count", c_int64), ("each", c_void_p))


class _Squares(Structure):
    _fields_ = (("count", c_int64), ("each", c_void_p), ("sum", c_void_p))


class _CrossEntropy(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("rows", "columns")),
        *((name, c_void_p) for name in ("logits", "targets", "gradient")),
        *((name, c_double) for name in ("divisor", "smoothing")),
        ("loss", c_void_p),
    )


class _Sums(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("rows", "columns")),
        *((name, c_void_p) for name in ("from_", "to")),
    )


STRUCTURES = (_Norm, _SwiGLU, _Attention, _Products, _Gradient, _AdamW, _CrossEntropy, _Sums)
KERNELS = {
    "midigen_norm": _Norm,
    "midigen_norm_back": _Norm,
    "midigen_swiglu": _SwiGLU,
    "midigen_swiglu_back": _SwiGLU,
    "midigen_attention": _Attention,
    "midigen_attention_back": _Attention,
    "midigen_products": _Products,
    "midigen_adamw": _AdamWSteps,
    "midigen_squares": _Squares,
    "midigen_cross_entropy": _CrossEntropy,
    "midigen_sums": _Sums,
}


@cache
def library() -> ctypes.CDLL | None:
    """Return the kernels, None where they were not built or do not run."""
    if not cpu_flags() >= NEEDED:
        return None
    for path in Path(__file__).parent.glob("_amx.*"):
        try:
            found = ctypes.CDLL(str(path))
        except OSError:  # built for another machine
            continue
        if declare(found):
            return found
    return None


def declare(found: ctypes.CDLL) -> bool:
    """Say what kernels take; return whether they are of this file, and run."""
    if not (_is_ours(found) and _runs(found)):
        return False
    for name, structure in KERNELS.items():
        getattr(found, name).argtypes = (ctypes.POINTER(structure), ctypes.c_int)
    return True


def _is_ours(found: ctypes.CDLL) -> bool:
    """Return whether a library was built from the structures of this file."""
    if not hasattr(found, "midigen_amx_layout"):
        return False
    sizes = [ctypes.sizeof(s) for s in STRUCTURES]
    mixed = 0
    for number in (VERSION, *sizes):
        mixed = (mixed * 1009 + number) % 1000003
    return bool(found.midigen_amx_layout() == mixed)


def _runs(found: ctypes.CDLL) -> bool:
    """Hand over what starts PyTorch's threads (GCC's OpenMP); return whether Linux grants AMX."""
    try:
        start = ctypes.cast(ctypes.CDLL(None).GOMP_parallel, c_void_p)
    except AttributeError:
        return False
    found.midigen_amx.argtypes = (c_void_p,)
    return bool(found.midigen_amx(start))


def is_for(*tensors: Tensor) -> bool:
    """Return whether the kernels take these: bf16, on the CPU, outside of `torch.compile`."""
    fits = all(x.dtype == torch.bfloat16 and x.device.type == "cpu" for x in tensors)
    return fits and not torch.compiler.is_compiling() and library() is not None


def _call(name: str, structure: Structure) -> None:
    fault = getattr(library(), name)(byref(structure), torch.get_num_threads())
    if fault:
        raise MidigenError(f"{name}: {FAULTS[fault]}")


def _at(x: Tensor | None) -> int | None:
    """Return where a tensor lies, which must be in one piece, and be kept until it was used."""
    if x is None:
        return None
    assert x.is_contiguous()
    return x.data_ptr()


class Normed(NamedTuple):
    """sum: x and branch (x itself where there is none); out: that normalised; scales (N,) fp32."""

    sum: Tensor
    out: Tensor
    scales: Tensor


def norm(x: Tensor, branch: Tensor | None, weight: Tensor, eps: float) -> Normed:
    """Return RMSNorm of x + branch, (..., W) each, times weight (W,)."""
    x = x.contiguous()
    branch = branch if branch is None else branch.contiguous()
    W = x.shape[-1]
    total = x if branch is None else torch.empty_like(x)
    made = Normed(total, torch.empty_like(x), x.new_empty(x.numel() // W, dtype=torch.float32))
    fields = {"x": x, "branch": branch, "weight": weight.contiguous(), "sum": total}
    fields |= {"out": made.out, "scales": made.scales}
    _call("midigen_norm", _Norm(len(made.scales), W, eps=eps, **_places(fields)))
    return made


def norm_back(
    made: Normed, weight: Tensor, dsum: Tensor | None, dout: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of x, which are those of branch, and of weight."""
    dx, dweight = torch.empty_like(made.sum), torch.empty_like(weight)
    fields = {"x": made.sum, "weight": weight.contiguous(), "scales": made.scales}
    fields |= {"dout": dout.contiguous(), "dx": dx, "dweight": dweight}
    if dsum is not None:
        fields["dsum"] = dsum.contiguous()
    _call("midigen_norm_back", _Norm(len(made.scales), len(weight), **_places(fields)))
    return dx, dweight


def _places(fields: dict[str, Any]) -> dict[str, int | None]:
    return {name: _at(x) for name, x in fields.items()}


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Return silu(gate) up, element by element."""
    out = torch.empty_like(gate)
    _call("midigen_swiglu", _SwiGLU(gate.numel(), _at(gate), _at(up), _at(out)))
    return out


def swiglu_back(gate: Tensor, up: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of gate and up."""
    dgate, dup = torch.empty_like(gate), torch.empty_like(up)
    places = (_at(gate), _at(up), None, _at(dout), _at(dgate), _at(dup))
    _call("midigen_swiglu_back", _SwiGLU(gate.numel(), *places))
    return dgate, dup


class Dropped(NamedTuple):
    """Which attention weights dropout takes: `share` of 65,536; those kept grow by `scale`."""

    share: int
    scale: float
    seed: int


class Heads(NamedTuple):
    """q (B, T, H, D), k and v (B, T, G, D), the numbers of a place one behind the other.

    cos and sin (T, D) turn q and k; the first half of sin is negated. starts (B, T) int32: the
    first place that each sees; they do not fall along T. None: the first.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    cos: Tensor | None = None
    sin: Tensor | None = None
    starts: Tensor | None = None

    def structure(self, dropped: Dropped | None, **more: Tensor) -> _Attention:
        """more: other tensors, by the names of the structure's fields."""
        (B, T, H, D), G = self.q.shape, self.k.shape[2]
        sizes = B, T, H, G, D, self.q.stride(1), self.k.stride(1)
        places = *(_inside(x) for x in self[:3]), *(_at(x) for x in self[3:])
        kept = _Attention(*sizes, *places, scale=1.0)
        for name, x in more.items():
            setattr(kept, name, _at(x) if name in ("y", "logs", "dy") else _inside(x))
        if dropped is not None:
            kept.dropped, kept.scale, kept.seed = dropped
        return kept


def _inside(x: Tensor) -> int:
    """Return where heads lie, which may be a part of something larger."""
    (_, T, n, D), strides = x.shape, x.stride()
    assert strides[2:] == (D, 1) or n == 1
    assert strides[0] == T * strides[1] or len(x) == 1
    return x.data_ptr()


def attention(heads: Heads, dropped: Dropped | None = None) -> tuple[Tensor, Tensor]:
    """Return causal attention (B, T, H, D) of turned q and k, and what its gradient needs."""
    B, T, H, _ = heads.q.shape
    y, logs = heads.q.new_empty(heads.q.shape), heads.q.new_empty(B, H, T, dtype=torch.float32)
    _call("midigen_attention", heads.structure(dropped, y=y, logs=logs))
    return y, logs


def attention_back(
    heads: Heads,
    y: Tensor,
    logs: Tensor,
    dy: Tensor,
    into: tuple[Tensor, Tensor, Tensor],
    dropped: Dropped | None = None,
) -> None:
    """Write the gradients of q, k and v into tensors with their shapes and strides."""
    fields = {"y": y, "logs": logs, "dy": dy.contiguous()}
    fields |= dict(zip(("dq", "dk", "dv"), into, strict=True))
    _call("midigen_attention_back", heads.structure(dropped, **fields))


def weight_gradients(gradients: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Return g' x (M, K) for each gradient g (N, M) of outputs; x (N, K) is what came in."""
    x, gradients = x.contiguous(), [g.contiguous() for g in gradients]
    outputs = [g.shape[1] for g in gradients]
    (N, K), count = x.shape, len(outputs)
    results = [x.new_empty(M, K) for M in outputs]
    array = c_void_p * count
    sizes = (c_int64 * count)(*outputs)
    taken, made = array(*map(_at, gradients)), array(*map(_at, results))
    start, *places = (ctypes.addressof(held) for held in (sizes, taken, made))
    _call("midigen_products", _Products(N, K, count, start, _at(x), *places))
    return results


def column_sums(x: Tensor) -> Tensor:
    """Return the sums (M,) of the columns of (N, M)."""
    x, result = x.contiguous(), x.new_empty(x.shape[1])
    _call("midigen_sums", _Sums(*x.shape, _at(x), _at(result)))
    return result


def cross_entropy(
    logits: Tensor, targets: Tensor, divisor: float, smoothing: float
) -> tuple[float, Tensor]:
    """Return the nats of targets (N,) int64 under logits (N, V), summed, and a gradient (N, V).

    Targets below 0 do not count. The gradient is that of the loss over `divisor`. smoothing: the
    share of the target's probability that is spread over all ids. Raises MidigenError for a target
    of V or more.
    """
    logits, targets = logits.contiguous(), targets.contiguous()
    gradient, loss = torch.empty_like(logits), c_double()
    places = _at(logits), _at(targets), _at(gradient)
    numbers = divisor, smoothing, ctypes.addressof(loss)
    _call("midigen_cross_entropy", _CrossEntropy(*logits.shape, *places, *numbers))
    return loss.value, gradient


class Moving(NamedTuple):
    """A weight in fp32, its gradient in fp32 or bf16, its moments, and its copy in bf16."""

    weight: Tensor
    gradient: Tensor
    mean: Tensor
    square: Tensor
    copy: Tensor


def adamw(
    weights: Sequence[Moving],
    rate: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
    steps: int,
    scale: float,
) -> None:
    """Take step number `steps` of AdamW, with all gradients times `scale`; refresh the copies."""
    numbers = {"scale": scale, "beta1": betas[0], "beta2": betas[1], "eps": eps}
    numbers |= {"kept": 1 - rate * decay, "rate": rate / (1 - betas[0] ** steps)}
    numbers["root"] = (1 - betas[1] ** steps) ** -0.5
    each = (_AdamW * len(weights))()
    for one, w in zip(each, weights, strict=True):
        places = (_at(x) for x in (w.weight, w.mean, w.square, w.copy))
        one.__init__(_gradient(w.gradient), *places, **numbers)
    _call("midigen_adamw", _AdamWSteps(len(weights), ctypes.addressof(each)))


def _gradient(x: Tensor) -> _Gradient:
    return _Gradient(_at(x), x.numel(), x.dtype == torch.bfloat16)


def norm_of(gradients: Sequence[Tensor]) -> float:
    """Return the norm of all gradients, in fp32 or bf16, together."""
    each = (_Gradient * len(gradients))(*map(_gradient, gradients))
    total = c_double()
    places = ctypes.addressof(each), ctypes.addressof(total)
    _call("midigen_squares", _Squares(len(gradients), *places))
    return total.value**0.5
