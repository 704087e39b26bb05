"""`remi`: what its parameters mean, their canonical spec, and the vocabulary."""

import midigen_remi.config
import numpy as np
import pytest
from midigen_remi import Remi
from midigen_remi.config import CODECS, RemiConfig, read_config
from midigen_remi.vocabulary import tempo_values, velocity_values
from oracle.check_remi import CONFIGS, tokenizers
from remi_configs import COVERED, LEFT_TO_MIDITOK, pair

from midigen.errors import MidigenError
from midigen.protocols import BatchTokenizer
from midigen.spec import parse_params, parse_spec


def test_remi_is_a_batch_tokenizer():
    assert isinstance(Remi(), BatchTokenizer)
    assert (Remi().spec, len(Remi().vocab), Remi().medium, Remi().unit) == ("remi", 565, "score", 1)
    assert Remi().vocab.tokens[:4] == ("PAD_None", "BOS_None", "EOS_None", "MASK_None")


@pytest.mark.parametrize("params", COVERED + LEFT_TO_MIDITOK)
def test_vocabulary_is_that_of_miditok(params: str):
    ours, theirs = pair(params)
    assert ours.vocab.index == theirs.vocab
    assert list(ours.vocab.tokens) == list(theirs.vocab)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_mean_what_the_oracle_writes_out(name: str):
    ours, theirs = tokenizers(name)
    assert list(ours.vocab.tokens) == list(theirs.vocab)


@pytest.mark.parametrize("params", COVERED + LEFT_TO_MIDITOK)
def test_spec_gives_the_same_configuration_again(params: str):
    config = read_config(parse_params(params))
    assert read_config(parse_params(parse_spec(config.spec()).arg)) == config


@pytest.mark.parametrize(
    ("params", "spec"),
    [
        ("velocities=32,res=4x8+8x4,ts=default", "remi"),
        ("velocities=16,chords=1", "remi:chords=1,velocities=16"),
        ("res=12", "remi:res=12x12"),
        ("rests=1x8+1x4+10x2", "remi:rests=1"),
        ("ts=3/8+12/8+6/8+5/4+6/4+3/4+2/4+1/4+4/4", "remi:ts=miditok"),
        ("ts=3/8+4/4+6/8", "remi:ts=3/8+6/8+4/4"),
        ("programs=0,changes=1,only=3,stream=tracks", "remi:programs=0"),
        ("tempos=0,logtempos=1,temporange=30-90", "remi:tempos=0"),
        ("drums=0,drumpitch=30-40", "remi:drums=0"),
        ("only=drums+5+3-4+0", "remi:only=0+3-5+drums"),
        ("chordroot=1", "remi"),
        ("intervaldist=1.0,intervals=3", "remi:intervals=3"),
    ],
)
def test_equal_configurations_have_equal_specs(params: str, spec: str):
    assert Remi(**parse_params(params)).spec == spec


@pytest.mark.parametrize(
    ("params", "fact"),
    [
        ({"velocity": "16"}, "remi has no parameter 'velocity'; known: res, velocities"),
        ({"velocities": "128"}, "remi: velocities=128 is not a number in 0..127"),
        ({"pitch": "72-48"}, "remi: pitch=72-48 is not a range"),
        ({"pitch": "0-128"}, "remi: pitch=0-128 is not a range"),
        ({"res": "8x"}, "remi: res=8x is not spans"),
        ({"ts": "3/4"}, "4/4 among them"),
        ({"ts": "4/4+3/5"}, "remi: ts=4/4+3/5 is not"),
        ({"ts": "4/4+4/4"}, "distinct"),
        ({"stream": "two"}, "remi: stream=two is not one of one, tracks"),
        ({"programs": "yes"}, "remi: programs=yes is not 0 or 1"),
        ({"only": "128"}, "remi: only=128 is not"),
        ({"only": "7-3"}, "remi: only=7-3 is not"),
        ({"intervaldist": "1e3"}, "remi: intervaldist=1e3 is not a number"),
        ({"tempos": "1"}, "tempos=1 is no scale"),
        ({"rests": "1", "durations": "none"}, "rests need durations"),
        ({"rests": "1", "res": "4"}, "rests are finer than res"),
        ({"chords": "1", "chordunknown": "1"}, "chordunknown needs chordroot=1"),
        ({"controls": "64", "pedals": "1"}, "controls has 64"),
    ],
)
def test_bad_parameters_are_refused_with_the_remedy(params: dict[str, str], fact: str):
    with pytest.raises(MidigenError) as error:
        Remi(**params)
    assert fact in str(error.value)


def test_every_parameter_is_in_the_table():

    rows = [
        line.split("|") for line in midigen_remi.config.__doc__.splitlines() if line[:2] == "| "
    ]
    table = {row[1].strip(" `"): row[2].strip(" `") for row in rows[1:]}
    assert list(table) == list(CODECS)
    assert read_config(table) == read_config({})


def test_every_number_of_velocities_is_spaced_as_numpy_spaces_them():
    for number in range(1, 128):
        expected = np.linspace(0, 127, number + 1, dtype=np.intc)[1:]
        assert velocity_values(RemiConfig(velocities=number)) == expected.tolist()


@pytest.mark.parametrize("bounds", [(40, 250), (5, 1000), (30, 61)])
def test_every_number_of_tempos_is_spaced_as_numpy_spaces_them(bounds: tuple[int, int]):
    for number in range(2, 1001):
        expected = np.linspace(*bounds, number).round(2)
        assert tempo_values(RemiConfig(tempos=number, temporange=bounds)) == expected.tolist()


def test_tempos_that_round_to_the_same_are_refused():
    with pytest.raises(MidigenError):
        Remi(tempos="1000", temporange="40-45")
