"""Losses over whole pieces: every id once, from at least half a window."""

import math

import numpy as np
import pytest
import torch
from midigen_llama import plugin
from midigen_llama.config import LlamaConfig
from tiny_model import some_merges, tiny_vocab, tok_of

from midigen.losses import Piece, make_piece, score_pieces
from midigen.modelvocab import ModelVocab
from midigen.registry import tokenizer
from midigen.totals import Total, Types

V, WINDOW = 40, 16


def model_of() -> torch.nn.Module:
    torch.manual_seed(3)
    model = plugin.build(LlamaConfig(width=16, layers=1, head=8), V).eval()
    for weight in model.parameters():
        weight.data *= 4
    return model


def one_by_one(model: torch.nn.Module, piece: Piece) -> np.ndarray:
    """Score each id by itself, from the context that the windows' rule gives it."""
    prefix = list(piece.conditions)
    start = prefix + ([piece.bos] if piece.bos is not None else [])
    ids = piece.ids.tolist()
    first, room = WINDOW - len(start) + 1, WINDOW - len(prefix)
    nats = np.full(len(ids), np.nan, np.float32)
    for i, id in enumerate(ids):
        if i < first:
            context = start + ids[:i]
        else:
            end = min(len(ids), first + ((i - first) // (WINDOW // 2) + 1) * (WINDOW // 2))
            context = prefix + ids[end - 1 - room : i]
        if context:
            with torch.no_grad():
                logits = model(torch.tensor([context]))[0, -1]
            nats[i] = -logits.log_softmax(0)[id]
    return nats


@pytest.mark.parametrize("bos", [1, None])
@pytest.mark.parametrize("conditions", [(), (38, 39)])
def test_every_id_is_scored_once_in_its_window(
    bos: int | None, conditions: tuple[int, ...]
) -> None:
    model = model_of()
    draw = np.random.default_rng(0)
    lengths = [1, 2, 13, 14, 15, 16, 17, 18, 24, 25, 60, 3]
    pieces = [Piece(draw.integers(2, 30, n), conditions, bos) for n in lengths]
    found = list(score_pieces(model, iter(pieces), WINDOW, "cpu"))
    assert [len(nats) for nats in found] == lengths
    for piece, nats in zip(pieces, found, strict=True):
        np.testing.assert_allclose(nats, one_by_one(model, piece), rtol=1e-4, atol=1e-4)
        assert np.isnan(nats[0]) == (bos is None and not conditions)
        assert np.isfinite(nats[1:]).all()


def test_many_pieces_come_back_in_order() -> None:
    model = model_of()
    draw = np.random.default_rng(1)
    pieces = [Piece(draw.integers(2, 30, 1 + k * 7 % 50), (), 1) for k in range(300)]
    found = list(score_pieces(model, pieces, WINDOW, "cpu"))
    alone = [next(score_pieces(model, [piece], WINDOW, "cpu")) for piece in pieces[::60]]
    for one, other in zip(found[::60], alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert [len(nats) for nats in found] == [len(piece.ids) for piece in pieces]


def test_a_piece_has_its_specials() -> None:
    vocab = tiny_vocab()
    whole = make_piece(vocab, [4, 200], [600])
    assert whole.ids.tolist() == [4, 200, vocab.eos] and whole.bos == vocab.bos
    part = make_piece(vocab, [4, 200], begins=False, ends=False)
    assert part.ids.tolist() == [4, 200] and part.bos is None


def test_totals_divide_by_what_is_known() -> None:
    total = Total()
    total.add(np.array([np.nan, 1.0, 2.0], np.float32), 2, 1, 1.5)
    total.add(np.array([3.0], np.float32), 4, 1, 0.5)
    assert total.to_json() == {
        "pieces": 2,
        "tokens": 3,
        "notes": 6,
        "bars": 2,
        "seconds": 2.0,
        "loss": 2.0,
        "ppl": pytest.approx(math.exp(2), abs=1e-4),
        "loss_note": 1.0,
        "loss_bar": 3.0,
        "bits_second": pytest.approx(3 / math.log(2), abs=1e-4),
    }
    total.add(np.array([1.0], np.float32), None, 0, None)
    assert total.to_json()["loss_note"] is None and total.to_json()["loss_bar"] is not None
    assert total.to_json()["bits_second"] is None


def test_nats_are_told_apart_by_type_of_token() -> None:
    base = tokenizer("remi").vocab
    vocab = ModelVocab(base, tok_of("remi"), merges=some_merges("remi")[:2])
    words = ["Bar_None", "Position_0", "Pitch_60", "Pitch_64", "Velocity_63"]
    ids = np.array([*(base.index[word] for word in words), len(base), vocab.eos])
    types = Types(vocab)
    types.add(ids, np.array([np.nan, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0], np.float32))
    types.add(ids[2:4], np.array([1.0, 1.0], np.float32))
    found = types.to_json(4)
    assert found == {
        "Position": {"tokens": 1, "loss": 1.0, "loss_note": 0.25},
        "Pitch": {"tokens": 4, "loss": 2.0, "loss_note": 2.0},
        "Velocity": {"tokens": 1, "loss": 8.0, "loss_note": 2.0},
        "merged": {"tokens": 1, "loss": 16.0, "loss_note": 4.0},
        "end": {"tokens": 1, "loss": 32.0, "loss_note": 8.0},
    }


def test_a_broken_model_is_seen_in_the_total() -> None:
    total = Total()
    total.add(np.array([1.0, np.nan], np.float32), 1, 1, 1.0)
    assert np.isnan(total.nats)
