import pytest

from midigen.errors import UsageError
from midigen.names import fold
from midigen.programs import FAMILIES, NAMES, find


@pytest.mark.parametrize(
    "one, other",
    [
        ("Hip-Hop", "hip_hop"),
        ("HIPHOP", "hip hop"),
        ("Björk", "bjork"),
        ("Dvořák", "DVORAK"),
        ("Straße", "STRASSE"),
        ("Beyonce\u0301", "Beyoncé"),
        ("Røyksopp", "royksopp"),
        ("Håkan Hellström", "HAKAN HELLSTROM"),
        ("Łódź", "lodz"),
        ("Encyclopædia", "encyclopaedia"),
        ("Pop_Rock", "pop rock"),
        ("Чайковский", "чайковский"),
        ("  The   Beatles ", "the beatles"),
    ],
)
def test_names_that_people_take_for_equal_meet(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    "one, other", [("pop", "k-pop"), ("か", "が"), ("कि", "की"), ("!!!", "???"), ("-", "_")]
)
def test_other_names_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_general_midi_has_sixteen_families_of_eight() -> None:
    assert [len(names) for names in FAMILIES.values()] == [8] * 16
    assert NAMES[40] == "Violin" and NAMES[73] == "Flute" and NAMES[127] == "Gunshot"


@pytest.mark.parametrize(
    "text, programs",
    [
        ("40", {40}),
        ("-1", {-1}),
        ("drums", {-1}),
        ("Drums", {-1}),
        ("violin", {40}),
        ("acoustic grand piano", {0}),
        ("piano", set(range(8))),
        ("Synth_Lead", set(range(80, 88))),
        ("sax", {64, 65, 66, 67}),
    ],
)
def test_programs_by_number_name_family_and_part_of_a_name(text: str, programs: set[int]) -> None:
    assert find(text) == programs


@pytest.mark.parametrize("text", ["128", "-2", "theremin", "", " "])
def test_what_is_no_program_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(UsageError, match=r"-1\.\.127|families|Piano, Chromatic"):
        find(text)
