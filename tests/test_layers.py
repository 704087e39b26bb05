"""Parts of models: dropout, products, tiles of attention, places."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from midigen.layers import noise as noises
from midigen.layers import tiles
from midigen.layers.linear import linear
from midigen.layers.noise import Noise, drop, drop_add, noise_for, relu_drop
from midigen.layers.places import places, sinusoids


def draws(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_dropout_keeps_what_is_expected_of_every_element(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(1_500_000, dtype=dtype), Noise(rate, torch.ones(1, dtype=dtype)))
    values, counts = dropped.unique(return_counts=True)
    assert len(values) == 2 and values[0] == 0
    assert abs(counts[0] / counts.sum() - rate) < 0.004
    assert abs(float(dropped.double().mean()) - 1) < 0.003


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    noise = Noise(0.5, torch.ones(1))
    kept = torch.stack([drop(torch.ones(1 << 17), noise) > 0 for _ in range(6)]).double()
    shifted = [kept[i].roll(shift) for i in range(6) for shift in (0, 1, 256, 512)]
    for one, other in itertools.combinations(shifted, 2):
        assert abs(float(((one - 0.5) * (other - 0.5)).mean()) * 4) < 0.02


def test_a_large_tensor_is_dropped_in_pieces_from_many_places() -> None:
    torch.manual_seed(0)
    size = 3 * noises._POOL
    kept = drop(torch.ones(size), Noise(0.5, torch.ones(1))) > 0
    parts = kept[: size // 12 * 12].view(12, -1).double() - 0.5
    for one, other in itertools.combinations(parts, 2):
        assert abs(float((one * other).mean()) * 4) < 0.02


def test_gradients_pass_where_elements_were_kept() -> None:
    torch.manual_seed(0)
    noise = Noise(0.3, torch.ones(1, dtype=torch.float64))
    x, y = draws(700_000).requires_grad_(), draws(700_000).flip(0).requires_grad_()
    weight = draws(700_000)
    start = noise.start()
    factors = torch.cat([f.clone() for f, _ in noise.pieces(start, x)])
    noise._starts.append(start)
    torch.testing.assert_close(drop(x, noise), x * factors)
    for function, wanted in (
        (lambda: drop(x, noise), x * factors),
        (lambda: drop_add(x, y, noise), x + y * factors),
        (lambda: relu_drop(x, noise), x.relu() * factors),
    ):
        noise._starts.append(start)
        found = function()
        torch.testing.assert_close(found, wanted)
        for one, other in zip(
            torch.autograd.grad((found * weight).sum(), (x, y), allow_unused=True),
            torch.autograd.grad((wanted * weight).sum(), (x, y), allow_unused=True),
            strict=True,
        ):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other)


def test_nothing_is_dropped_in_evaluation() -> None:
    assert noise_for(0.5, False, torch.ones(1)) is None
    assert noise_for(0.0, True, torch.ones(1)) is None


@pytest.mark.parametrize(("N", "K"), [(2000, 64), (64, 500), (400, 400), (20, 30)])
def test_products_and_their_gradients_are_torchs(N: int, K: int) -> None:
    x = draws(3, 50, K).bfloat16().requires_grad_()
    weight, bias = draws(N, K).bfloat16().requires_grad_(), draws(N).bfloat16().requires_grad_()
    for given in ((x, weight, bias), (x, weight)):
        plain, found = F.linear(*given), linear(*given)
        assert torch.equal(found, plain)
        gradient = draws(3, 50, N).bfloat16()
        for one, other in zip(
            torch.autograd.grad(found, given, gradient),
            torch.autograd.grad(plain, given, gradient),
            strict=True,
        ):
            torch.testing.assert_close(one, other, atol=0.05, rtol=0.02)


@pytest.mark.parametrize(
    ("B", "H", "T"), [(16, 8, 512), (1, 1, 3), (3, 12, 4096), (2, 6, 40_000), (5, 4, 300)]
)
def test_tiles_cover_every_place_once_and_never_part_two_rows(B: int, H: int, T: int) -> None:
    numbers, covered = [], 0
    for group in tiles.tiles(B, H, T):
        at = group[0].at
        first, last = at.start // H, (at.stop - 1) // H
        assert first == last or (at.start % H == 0 and at.stop % H == 0)
        assert all(tile.at == at for tile in group)
        ends = sorted((tile.begin, tile.end) for tile in group)
        assert ends[0][0] == 0 and ends[-1][1] == T
        assert all(one[1] == other[0] for one, other in itertools.pairwise(ends))
        numbers += [tile.number for tile in group]
        covered += at.stop - at.start
        for tile in group:
            assert (at.stop - at.start) * (tile.end - tile.begin) * tile.end <= noises._PIECE
    assert covered == B * H and len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("with_memory", [False, True])
def test_attention_with_dropout_is_the_formula_with_its_mask(with_memory: bool) -> None:
    torch.manual_seed(0)
    B, T, H, D = 2, 200, 2, 4
    packed = draws(B, T, 1 if with_memory else 3, H, D).requires_grad_()
    memory = draws(B, T, 2, H, D).flip(1).requires_grad_() if with_memory else None
    noise = Noise(0.4, packed)
    start = noise.start()
    noise._starts.append(start)
    found = tiles.attention(packed, memory, None, noise)
    factors = torch.zeros(B * H, T, T, dtype=torch.float64)
    for tile in itertools.chain(*tiles.tiles(B, H, T)):
        part = factors[tile.at, tile.begin : tile.end, : tile.end]
        part.copy_(tiles.noise_of(noise, start, tile, part))
    q = packed[:, :, 0].transpose(1, 2)
    pair = packed[:, :, 1:] if memory is None else memory
    k, v = pair.transpose(1, 3).unbind(2)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    weights = (q @ k.mT / D**0.5).masked_fill(future, -torch.inf).softmax(-1)
    wanted = (weights * factors.view(B, H, T, T)) @ v
    torch.testing.assert_close(found, wanted.transpose(1, 2))
    given = [x for x in (packed, memory) if x is not None]
    gradient = draws(B, T, H, D)
    for one, other in zip(
        torch.autograd.grad(found, given, gradient),
        torch.autograd.grad(wanted.transpose(1, 2), given, gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_places_count_from_the_start_of_a_segment() -> None:
    segments = torch.tensor([[0, 0, 0, 1, 1, 2], [4, 4, 4, 4, 4, 4]])
    assert places(segments).tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5]]


def test_sinusoids_turn_more_slowly_from_pair_to_pair() -> None:
    table = sinusoids(50, 8, torch.ones(1, dtype=torch.float64))
    place = torch.arange(50, dtype=torch.float64)
    torch.testing.assert_close(table[:, 0], place.sin())
    torch.testing.assert_close(table[:, 7], (place / 10000 ** (6 / 8)).cos())
