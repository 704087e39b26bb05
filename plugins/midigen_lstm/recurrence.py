"""One LSTM layer over whole windows, and its gradient (Hochreiter and Schmidhuber 1997).

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);  g = tanh(a_g)
    c_t = f c_(t-1) + i g;  h_t = o tanh(c_t)

with a = W_ih x_t + W_hh h_(t-1) + b, in the order i, f, g, o of `nn.LSTM`. The products with inputs
are made for all places at once, as are the gradients of all weights; a step is left with one
product, in the type of the weights, and a few short operations in fp32. `nn.LSTM` on a CPU does not
know where a piece begins within a window, and is slower.

Shapes: T places, B rows, I inputs, W width. Time comes first: what a step needs lies together.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function

from midigen.layers.linear import weight_gradient

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward

Resets = dict[int, Tensor]
"""(B, 1) factors by place: 0 where a row forgets what was before the place, else 1."""


def resets_of(begins: Tensor, like: Tensor) -> Resets:
    """Return the factors of the places at which some row begins. begins: bool (B, T)."""
    keep = (~begins).to(like.dtype).t().unsqueeze(2)  # (T, B, 1)
    return {place: keep[place] for place in begins.any(0).nonzero().flatten().tolist()}


def layer(x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, resets: Resets) -> Tensor:
    """Return outputs (T, B, W) of inputs (T, B, I), from an empty state.

    w_ih: (4 W, I); w_hh: (4 W, W); bias: (4 W,).
    """
    out: Tensor = _Layer.apply(x, w_ih, w_hh, bias, resets)
    return out


class _Layer(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, resets: Resets
    ) -> Tensor:
        zero = x.new_zeros(x.shape[1], w_hh.shape[1])
        gates, cells, outputs = run(x, w_ih, w_hh, bias, resets, (zero, zero))
        ctx.save_for_backward(x, w_ih, w_hh, gates, cells, outputs)
        ctx.resets = resets
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w_ih, w_hh, gates, cells, outputs = ctx.saved_tensors
        dgates = _backward(grads[0], w_hh, gates, cells, ctx.resets)
        before = _before(outputs, ctx.resets)
        flat = dgates.flatten(0, 1)  # (T B, 4 W)
        dx = (flat @ w_ih).view_as(x) if ctx.needs_input_grad[0] else None
        dw_ih = weight_gradient(flat, x.flatten(0, 1))
        dw_hh = weight_gradient(flat, before.flatten(0, 1))
        return dx, dw_ih, dw_hh, flat.sum(0), None


def run(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor,
    resets: Resets,
    state: tuple[Tensor, Tensor],
    keep: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return gates (T, B, 4 W) and cells (T, B, W) in fp32, and outputs (T, B, W).

    state: (B, W) each, output and cell before the first place. keep False: gates and cells hold
    those of the last place alone, (1, B, ...).
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    inputs = F.linear(x, w_ih, bias)  # (T, B, 4 W)
    (T, B, _), W = x.shape, w_hh.shape[1]
    gates = inputs.new_empty(T if keep else 1, B, 4 * W, dtype=wide)
    cells = gates.new_empty(len(gates), B, W)
    outputs = x.new_empty(T, B, W)
    backwards = w_hh.t()
    h, c = state[0], state[1].to(wide)
    scratch = torch.empty_like(inputs[0])
    for t in range(T):
        factor = resets.get(t)
        if factor is not None:
            h, c = h * factor, c * factor
        at = t if keep else 0
        gate, cell = gates[at], cells[at]
        gate.copy_(torch.addmm(inputs[t], h, backwards, out=scratch))
        gate[:, : 2 * W].sigmoid_()
        gate[:, 3 * W :].sigmoid_()
        i, f, g, o = gate.chunk(4, 1)
        g.tanh_()
        torch.mul(f, c, out=cell).addcmul_(i, g)
        h, c = outputs[t], cell
        torch.mul(o, c.tanh(), out=h)
    return gates, cells, outputs


def _backward(
    doutputs: Tensor, w_hh: Tensor, gates: Tensor, cells: Tensor, resets: Resets
) -> Tensor:
    """Return the gradient (T, B, 4 W) of what goes into the gates."""
    T, B, W = cells.shape
    dgates = doutputs.new_empty(T, B, 4 * W)
    inward = gates.new_empty(B, 4 * W)
    di, df, dg, do = inward.chunk(4, 1)
    zero = torch.zeros_like(cells[0])
    dh, dc = zero, zero
    for t in reversed(range(T)):
        i, f, g, o = gates[t].chunk(4, 1)
        factor = resets.get(t)
        before = cells[t - 1] if t else zero
        if factor is not None:
            before = before * factor
        dh = dh + doutputs[t]
        tanh = cells[t].tanh()
        dc = dc + tanh_backward(dh * o, tanh)
        torch.mul(dh, tanh, out=do)
        torch.mul(dc, g, out=di)
        torch.mul(dc, before, out=df)
        torch.mul(dc, i, out=dg)
        for inner, outer in ((di, i), (df, f), (do, o)):
            sigmoid_backward.grad_input(inner, outer, grad_input=inner)
        tanh_backward.grad_input(dg, g, grad_input=dg)
        dgates[t] = inward
        dh, dc = (dgates[t] @ w_hh).to(dc.dtype), dc * f
        if factor is not None:
            dh, dc = dh * factor, dc * factor
    return dgates


def _before(outputs: Tensor, resets: Resets) -> Tensor:
    """Return (T, B, W): what each place has read of the one before it."""
    before = torch.cat((torch.zeros_like(outputs[:1]), outputs[:-1]))
    for place, factor in resets.items():
        before[place] *= factor
    return before
