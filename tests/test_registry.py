"""Plugins are found by name, loaded one at a time, and break alone."""

from importlib.metadata import EntryPoint

import pytest

from midigen import registry
from midigen.errors import MidigenError
from midigen.protocols import BatchTokenizer, Tokenizer


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second tokenizer plugin that does not load."""
    points = {
        "remi": EntryPoint("remi", "midigen_remi:Remi", "midigen.tokenizers"),
        "bad": EntryPoint("bad", "no_such_module:X", "midigen.tokenizers"),
    }
    monkeypatch.setattr(registry, "installed", lambda kind: points)


def test_built_in_plugins_are_installed() -> None:
    assert "remi" in registry.installed("tokenizers")
    assert "llama" in registry.installed("models")
    assert "local" in registry.installed("executors")
    assert "starter" in registry.installed("checkpoints")


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(MidigenError, match=r"no tokenizer 'rmi'; installed: .*remi"):
        registry.load("tokenizers", "rmi")


def test_plugin_that_does_not_load_is_named_and_breaks_no_other(broken: None) -> None:
    with pytest.raises(MidigenError, match=r"tokenizer 'bad' .* does not load: ModuleNotFound"):
        registry.load("tokenizers", "bad")
    assert registry.tokenizer("remi").spec == "remi"


def test_tokenizer_is_made_from_its_spec() -> None:
    made = registry.tokenizer("remi:velocities=16")
    assert isinstance(made, Tokenizer) and isinstance(made, BatchTokenizer)
    assert made.spec == "remi:velocities=16"
    with pytest.raises(MidigenError, match="has no parameter 'volume'"):
        registry.tokenizer("remi:volume=11")


def test_object_is_imported_from_a_command_line_only() -> None:
    with pytest.raises(MidigenError, match="only a command line may"):
        registry.tokenizer("os.path:join")
    with pytest.raises(MidigenError, match="cannot import"):
        registry.tokenizer("os.path:no_such_thing", trusted=True)
    with pytest.raises(MidigenError, match="cannot import"):
        registry.tokenizer("no.such.module:X", trusted=True)
