"""Recorded steps give what others give. Without a GPU, to play one is to run it again."""

import copy
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from midigen_llama import graphs, plugin
from midigen_llama.config import LlamaConfig
from midigen_llama.decoder import Decoder
from midigen_llama.graphs import GraphDecoder, Recording, Work
from torch import Tensor

V = 70


@pytest.fixture(autouse=True)
def as_in_sampling() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Recorder:
    """Counts what is recorded; plays by running it again into the same memory, as a graph does."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, work: Work) -> Recording:
        self.recorded += 1
        result = work()

        def play() -> None:
            self.played += 1
            result.copy_(work())

        return play, result


@pytest.fixture(params=[0, 1], ids=["a head a group", "one group"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(1)
    config = LlamaConfig(width=64, layers=3, head=16, kv_heads=request.param)
    return plugin.build(config, V).eval()


def pair(model: torch.nn.Module, rows: int, room: int = 40) -> tuple[Recorder, Callable[..., None]]:
    """Return a recorder, and what takes a step of both decoders and compares their logits."""
    recorder = Recorder()
    plain, recorded = Decoder(model, "fp32"), GraphDecoder(model, "fp32", recorder)
    caches = plain.new_cache(rows, room), recorded.new_cache(rows, room)

    def compare(count: int = 1, then: Callable[..., None] | None = None) -> None:
        if then:
            for cache in caches:
                then(cache)
        ids = torch.randint(0, V, (caches[0].batch, count))
        wanted, found = plain.step(ids, caches[0]), recorded.step(ids, caches[1])
        assert caches[0].length == caches[1].length
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)

    return recorder, compare


@pytest.mark.parametrize("rows", [1, 3])
def test_recorded_steps_give_the_same_logits(
    model: torch.nn.Module, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "SHORTEST", 8)
    recorder, compare = pair(model, rows)

    def pad(cache: object) -> None:
        cache.starts[:] = torch.arange(rows)  # type: ignore[attr-defined]

    compare(5, pad)
    for _ in range(34):
        compare()
    # Of 8, 16, 32 and 40 places.
    assert (recorder.recorded, recorder.played) == (4, 30)
    with pytest.raises(Exception, match="do not fit a cache of 40"):
        [compare() for _ in range(2)]


def test_rows_that_go_and_places_that_are_taken_back(model: torch.nn.Module) -> None:
    recorder, compare = pair(model, 4)
    compare(3)
    compare()
    compare(then=lambda cache: cache.starts.copy_(torch.tensor([0, 2, 1, 0])))
    compare(then=lambda cache: cache.select(torch.tensor([0, 3, 2])))
    compare(then=lambda cache: cache.rewind(4))
    compare()
    assert recorder.recorded == 2  # of four rows and of three


def test_logits_stay_and_caches_do_not_mix(model: torch.nn.Module) -> None:
    recorder = Recorder()
    recorded, plain = GraphDecoder(model, "fp32", recorder), Decoder(model, "fp32")
    first, second = recorded.new_cache(1, 20), recorded.new_cache(1, 20)
    other = plain.new_cache(1, 20), plain.new_cache(1, 20)
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    for i in range(6):
        ids = torch.tensor([[i]])
        found += [recorded.step(ids, first), recorded.step(ids + 9, second)]
        wanted += [plain.step(ids, other[0]), plain.step(ids + 9, other[1])]
    torch.testing.assert_close(torch.cat(found), torch.cat(wanted), atol=1e-5, rtol=1e-5)
    assert recorder.recorded == 2


def test_few_recordings_are_kept(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST", 2)
    recorded = GraphDecoder(model, "fp32", Recorder())
    caches = [recorded.new_cache(1, 9) for _ in range(4)]
    for cache in caches:
        for _ in range(3):
            recorded.step(torch.tensor([[1]]), cache)
    assert len(recorded._recorded) == 2


def test_what_cannot_be_recorded_runs_as_it_is(model: torch.nn.Module) -> None:
    def record(work: Work) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    recorded, plain = GraphDecoder(model, "fp32", record), Decoder(model, "fp32")
    caches = recorded.new_cache(2, 9), plain.new_cache(2, 9)
    ids = torch.tensor([[1], [2]])
    torch.testing.assert_close(recorded.step(ids, caches[0]), plain.step(ids, caches[1]))
    with pytest.warns(RuntimeWarning, match="without CUDA graphs: operation .* capturing$"):
        found = recorded.step(ids, caches[0])
    torch.testing.assert_close(found, plain.step(ids, caches[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(recorded.step(ids, caches[0]), plain.step(ids, caches[1]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(model: torch.nn.Module) -> None:
    there = copy.deepcopy(model).cuda()
    assert isinstance(there.decoder("fp32"), GraphDecoder)
    recorded, plain = there.decoder("fp32"), Decoder(there, "fp32")
    caches = recorded.new_cache(3, 600), plain.new_cache(3, 600)
    for cache in caches:
        cache.starts[:] = torch.tensor([0, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(600):
            ids = torch.randint(0, V, (3, 1), device="cuda")
            found, wanted = recorded.step(ids, caches[0]), plain.step(ids, caches[1])
            torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    assert len(recorded._recorded) == 3
