"""Sampling's compiled step: the logits of the model, whatever is computed beside them."""

import ctypes
import math
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import emulated_tiles
import pytest
import torch
import torch.nn.functional as F
from midigen_llama import native, plugin
from midigen_llama.beginning import can_copy
from midigen_llama.config import LlamaConfig
from midigen_llama.decoder import Decoder
from midigen_llama.kept import Kept
from midigen_llama.model import Llama
from midigen_llama.native import NativeDecoder, libraries, library
from torch import Tensor

from midigen.errors import MidigenError

V = 100
BUILDS = list(libraries())
STEP, EMULATED = "midigen_llama._step_amx", "_step_amx_emulated"
pytestmark = pytest.mark.skipif(
    not BUILDS and shutil.which("cc") is None, reason="midigen was installed without a C compiler"
)
SHAPES = {
    "plain": LlamaConfig(width=64, layers=2, head=16, copies=False),
    "heads with a task": LlamaConfig(width=64, layers=2, head=16),
    "groups": LlamaConfig(width=128, layers=3, head=32, kv_heads=2),
    "one head": LlamaConfig(width=48, layers=1, head=48),
    "wide heads": LlamaConfig(width=160, layers=2, head=80),
    "inner width of no multiple": LlamaConfig(width=64, layers=2, head=16, hidden=101),
    "untied": LlamaConfig(width=64, layers=2, head=64, tied=False),
    "inner width of several pieces": LlamaConfig(width=64, layers=1, head=16, hidden=1100),
}
PRECISIONS = ("fp32", "bf16", "int8")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def made(config: LlamaConfig) -> Llama:
    """Return a model of which every weight counts. (Attention that is sharp already stays.)"""
    torch.manual_seed(3)
    model = plugin.build(config, V).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.normal_(1.0, 0.2)
            elif not can_copy(config):
                weight.mul_(3)
    return model


def some_ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(4))


def steps(decoder: NativeDecoder, ids: torch.Tensor, *counts: int) -> torch.Tensor:
    """Return the logits of ids (B, T), so many read at a time."""
    cache = decoder.new_cache(len(ids), ids.shape[1])
    return torch.cat([decoder.step(part, cache) for part in ids.split(counts, dim=1)], dim=1)


def test_library_is_there() -> None:
    assert library() is not None


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library for AMX, where all runs here but its tiles."""
    plain = native.library()
    if any(name_of(build) == "_step_amx" for build in BUILDS):
        pytest.skip("AMX is there")
    if plain is None or not emulated_tiles.can_emulate(STEP):
        pytest.skip("no compiler, or the processor lacks more than tiles")
    found = emulated_tiles.build(STEP, tmp_path_factory.mktemp("tiles"))
    found.midigen_step.argtypes = plain.midigen_step.argtypes
    return found


def name_of(build: ctypes.CDLL) -> str:
    return Path(build._name).name.split(".")[0]


@pytest.fixture(
    params=[*BUILDS, EMULATED], ids=lambda build: build if build == EMULATED else name_of(build)
)
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    """One of the libraries that run here, as if there were no better one."""
    found = request.param
    if found == EMULATED:
        found = request.getfixturevalue("emulated")
    monkeypatch.setattr(native, "library", lambda: found)
    return found


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_logits_are_those_of_the_model(config: LlamaConfig, build: ctypes.CDLL) -> None:
    model, ids = made(config), some_ids(11, 40)
    decoder = model.decoder("fp32")
    assert isinstance(decoder, NativeDecoder)
    with torch.no_grad():
        found = steps(decoder, ids, 17, 1, 1, 4, 1, 16)
        torch.testing.assert_close(found, model(ids), atol=1e-4, rtol=1e-5)


def test_rows_padded_on_the_left_give_the_same_logits(build: ctypes.CDLL) -> None:
    model, ids = made(SHAPES["groups"]), some_ids(2, 12)
    decoder = model.decoder("fp32")
    cache = decoder.new_cache(2, 12)
    cache.starts = torch.tensor([0, 5])
    padded = ids.clone()
    padded[1, 5:] = ids[1, :7]
    found = torch.cat([decoder.step(part, cache) for part in padded.split((8, 1, 3), 1)], 1)
    with torch.no_grad():
        torch.testing.assert_close(found[0], model(ids[:1])[0], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(found[1, 5:], model(ids[1:, :7])[0], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("unit", [1, 9])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_are_padded_put_and_kept_and_nothing_else_is_looked_at(
    precision: str, unit: int, build: ctypes.CDLL
) -> None:
    """Row 1 is shorter; row 2 begins anew in the middle; then row 0 is done. Places count units:
    all in one piece of memory, and in three.
    """
    decoder, ids = made(SHAPES["groups"]).decoder(precision), some_ids(3, 20 * unit)

    def read(cache: Kept, rows: list[int], begin: int, end: int) -> Tensor:
        return decoder.step(ids[rows, begin * unit : end * unit], cache)

    def empty(rows: int, length: int) -> Kept:
        cache = decoder.new_cache(rows, length * unit)
        # To the scales of int8, floats of four bytes, -1 is NaN, too.
        cache.memory.fill_(-1 if cache.memory.dtype == torch.int8 else math.nan)
        return cache

    def begun(place: int, end: int) -> Kept:
        cache = empty(1, end)
        cache.length = place * unit
        cache.starts[:] = place * unit
        return cache

    def alone(row: int, begin: int, end: int) -> Tensor:
        return read(begun(begin, end), [row], begin, end)[0]

    cache = empty(3, 30)
    cache.starts[:] = torch.tensor([0, 4, 2]) * unit
    first = read(cache, [0, 1, 2], 0, 10)
    assert torch.equal(first[0], alone(0, 0, 10))
    assert torch.equal(first[1, 4 * unit :], alone(1, 4, 10))
    other = begun(7, 10)
    read(other, [2], 7, 10)
    cache.put(2, other)
    second = read(cache, [0, 1, 2], 10, 11)
    assert torch.equal(second[2], alone(2, 7, 11)[-unit:])
    cache.select(torch.tensor([2, 1]))
    last = read(cache, [2, 1], 11, 13)
    assert torch.equal(last[0], alone(2, 7, 13)[-2 * unit :])
    assert torch.equal(last[1], alone(1, 4, 13)[-2 * unit :])


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_is_the_same_bit_for_bit_whatever_is_beside_it(
    precision: str, config: LlamaConfig, build: ctypes.CDLL
) -> None:
    decoder, ids = made(config).decoder(precision), some_ids(19, 9)
    together = steps(decoder, ids, 9)
    torch.set_num_threads(1)
    for row in (0, 3, 18):
        alone = steps(decoder, ids[row : row + 1], 4, *[1] * 5)
        assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_number_of_rows_gives_the_same_bits(precision: str, build: ctypes.CDLL) -> None:
    decoder, ids = made(SHAPES["inner width of several pieces"]).decoder(precision), some_ids(17, 3)
    alone = torch.cat([steps(decoder, row, 3) for row in ids.split(1)])
    for rows in range(2, 18):
        assert torch.equal(steps(decoder, ids[:rows], 1, 2), alone[:rows]), rows


def in_bytes(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return numbers that bytes hold exactly, with a scale along `dim`."""
    scale = x.abs().amax(dim, keepdim=True) / 127
    return (x / scale).round() * scale


def with_narrow_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attention see keys and values as they are kept beside narrow weights."""
    whole = F.scaled_dot_product_attention

    def narrow(q: Tensor, k: Tensor, v: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return whole(q, in_bytes(k, -1), in_bytes(v, -1), *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", narrow)


def in_pairs(build: ctypes.CDLL) -> bool:
    """Return whether a build multiplies bfloat16 with bfloat16."""
    return name_of(build) in ("_step_amx", "_step_bf16")


def with_narrow_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let matrices be multiplied by bfloat16."""
    whole = F.linear

    def narrow(x: Tensor, *args: Any) -> Tensor:
        return whole(x.bfloat16().float(), *args)

    monkeypatch.setattr(F, "linear", narrow)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"width": 128, "head": 64, "kv_heads": 1},
        {"width": 256, "head": 256, "layers": 1},
        {"hidden": 1100, "layers": 1},
    ],
)
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_weights_keys_and_values_are_all_that_is_narrow(
    precision: str, shape: dict[str, int], build: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LlamaConfig(width=64, layers=2, head=16, hidden=101, copies=False)
    model = made(replace(plain, **shape))
    with_narrow_keys(monkeypatch)
    if has_narrow_rows := precision == "bf16" and in_pairs(build):
        with_narrow_rows(monkeypatch)
    with torch.no_grad():
        for weight in model.parameters():
            # Norms of 1 and a power of 2 for attention: what is folded in changes no digit.
            if weight.dim() == 1:
                weight.fill_(1)
            else:
                weight.copy_(in_bytes(weight, 1) if precision == "int8" else weight.bfloat16())
        ids = some_ids(2, 20)
        logits = steps(model.decoder(precision), ids, 10, *[1] * 10)
        whole = model(ids)
    # Now and then a number is rounded the other way: the more often the narrower they are.
    in_fours = name_of(build) not in ("_step_plain", "_step_avx2", "_step_avx512")
    share = 5e-3 if has_narrow_rows else 1e-4
    if in_fours and not has_narrow_rows:
        share = 3e-4 if precision == "bf16" else 1e-3
    share *= max(1, model.config.head // 64)  # of longer sums more is rounded the other way
    far, most = (logits - whole).abs(), float(whole.abs().max())
    assert float(far.max()) <= share * most
    assert float(far.square().mean().sqrt()) <= 0.12 * share * most


@pytest.mark.parametrize("hidden", [64, 101, 1100])
@pytest.mark.parametrize("rows", [1, 2, 19])
def test_products_in_bf16_are_those_of_rounded_numbers(
    rows: int, hidden: int, build: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(LlamaConfig(width=64, layers=1, head=16, hidden=hidden, copies=False))
    if in_pairs(build):
        with_narrow_rows(monkeypatch)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1) if weight.dim() == 1 else weight.copy_(weight.bfloat16())
            if "v_proj" in name:
                weight.zero_()  # nothing is found: attention rounds in another way
        ids = some_ids(rows, 3)
        logits, whole = steps(model.decoder("bf16"), ids, 3), model(ids)
    # Few rows have a number that is rounded the other way.
    far = (logits - whole).abs().amax(-1).flatten().sort().values
    assert float(far[int(0.6 * len(far))]) <= 2e-6 * float(whole.abs().max())


def test_without_the_library_or_for_odd_heads_it_is_pytorch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = made(LlamaConfig(width=24, layers=1, head=8))
    assert isinstance(odd.decoder("fp32"), Decoder)
    monkeypatch.setattr(native, "library", lambda: None)
    assert isinstance(made(SHAPES["plain"]).decoder("fp32"), Decoder)


def test_what_does_not_fit_is_refused() -> None:
    decoder = made(SHAPES["plain"]).decoder("fp32")
    cache = decoder.new_cache(1, 4)
    with pytest.raises(MidigenError, match="do not fit a cache of 4"):
        decoder.step(some_ids(1, 5), cache)
    for id in (-1, V):
        with pytest.raises(MidigenError, match="not in the vocabulary"):
            decoder.step(torch.tensor([[id]]), cache)
    with pytest.raises(MidigenError, match="2 rows do not fit a cache of 1"):
        decoder.step(some_ids(2, 1), cache)
    assert cache.length == 0
    with pytest.raises(MidigenError, match="in bf16 and int8 a sample has fewer than 65536 places"):
        decoder.model.decoder("int8").new_cache(1, 1 << 16)
    for other in (decoder.model.decoder("bf16"), made(SHAPES["groups"]).decoder("fp32")):
        with pytest.raises(MidigenError, match="1 rows do not fit a cache of 1"):
            decoder.step(some_ids(1, 1), other.new_cache(1, 4))


def test_a_library_of_other_structures_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
    assert list(libraries()) == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_forked_process_steps_on(precision: str) -> None:
    decoder, ids = made(SHAPES["plain"]).decoder(precision), some_ids(2, 6)
    before = steps(decoder, ids, 6)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            code = 0 if torch.equal(steps(decoder, ids, 3, 3), before) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(steps(decoder, ids, 6), before)
