"""MidiTok's ``tokenizer.json``: what it says in our words, and what is kept of it.

A *definition* is a plain JSON object: ``tokenization`` (MidiTok's class), ``config`` (its
`TokenizerConfig`, as MidiTok writes it) and ``vocabulary``, the base tokens, a list for each slot.
It rebuilds the tokenizer without MidiTok. Merges (``_model``) are no part of it: they belong to a
model, and `toktrain --bpe` learns its own.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from midigen_remi.values import Spans

from midigen.errors import MidigenError
from midigen_miditok.config import MidiTokConfig, Options
from midigen_miditok.kinds import KINDS

_LEARNED = ("_model", "_vocab_base_byte_to_token")
_BARS_ELSE = ("max_bar_embedding", "use_bar_end_tokens", "add_trailing_bars")
"""Parameters of REMI that no spec has: numbered bars, Bar_End, bars behind the last note."""

Json = dict[str, Any]


def complete(data: Mapping[str, Any]) -> Json:
    """Return the definition in a tokenizer.json, or in a definition itself.

    Raises MidigenError for what is neither, or what MidiTok does not load.
    """
    kind = data.get("tokenization")
    if not isinstance(kind, str) or not isinstance(data.get("config"), dict):
        raise MidigenError("is no tokenizer.json of MidiTok: it needs tokenization and config")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise MidigenError(f"is of MidiTok's class {kind}; those that midigen knows are {known}")
    found = dict(data) if "vocabulary" in data else _load(kind, data)
    return {key: found[key] for key in ("tokenization", "config", "vocabulary")}


def _load(kind: str, data: Mapping[str, Any]) -> Json:
    """Let MidiTok read a tokenizer.json, and return what it makes of it."""
    from midigen_remi.miditok_import import import_miditok

    from midigen_miditok.engine import silent

    plain = {key: value for key, value in data.items() if key not in _LEARNED}
    with TemporaryDirectory() as folder, silent():
        path = Path(folder, "tokenizer.json")
        path.write_text(json.dumps(plain), encoding="utf-8")
        try:
            made = getattr(import_miditok(), kind)(params=path)
        except Exception as error:  # MidiTok documents none.
            reason = f"{type(error).__name__}: {error}"
            raise MidigenError(f"is no tokenizer.json that MidiTok loads: {reason}") from error
    slots = made.vocab if isinstance(made.vocab, list) else [made.vocab]
    vocabulary = [sorted(slot, key=slot.__getitem__) for slot in slots]
    config = made.config.to_dict(serialize=True)
    # As JSON has it: keys are strings, tuples lists.
    return {
        "tokenization": kind,
        "config": json.loads(json.dumps(config)),
        "vocabulary": vocabulary,
    }


def arguments(definition: Json) -> Json:
    """Return the arguments of MidiTok's `TokenizerConfig`, as `TokenizerConfig.from_dict` does."""
    found = {key: value for key, value in definition["config"].items() if "version" not in key}
    found |= found.pop("additional_params", {})
    for key in ("beat_res", "beat_res_rest"):
        found[key] = {tuple(map(int, span.split("_"))): r for span, r in found[key].items()}
    found["time_signature_range"] = {
        int(denominator): numerators
        for denominator, numerators in found["time_signature_range"].items()
    }
    found["chord_maps"] = {name: tuple(chord) for name, chord in found["chord_maps"].items()}
    return found


def config_of(definition: Json) -> MidiTokConfig:
    """Return a definition in the words of a spec, with MidiTok's own arguments beside them.

    Raises MidigenError for values that this plugin cannot have.
    """
    given = arguments(definition)
    kind = definition["tokenization"]
    own = {
        "bars": given.get("max_bar_embedding") or MidiTokConfig.bars,
        "base": given.get("base_tokenizer", MidiTokConfig.base),
        "tpq": given.get("ticks_per_quarter", MidiTokConfig.tpq),
        "microtimings": given.get("num_microtiming_bins", 0) * given.get("use_microtiming", False),
        "microrange": given.get("max_microtiming_shift", MidiTokConfig.microrange),
        "positions": given.get("use_position_toks", False),
    }
    return MidiTokConfig(kind, _options(given), **own)


def _options(given: Json) -> Options:
    signatures = [(n, d) for d, above in given["time_signature_range"].items() for n in above]
    if given["use_time_signatures"] and (4, 4) not in signatures:
        raise MidigenError("has no 4/4 among its time signatures, to which MidiTok falls back")
    pedals = "duration" if given["sustain_pedal_duration"] else "1"
    return Options(
        res=_spans(given["beat_res"]),
        velocities=given["num_velocities"] if given["use_velocities"] else 0,
        durations=tuple(sorted(given["use_note_duration_programs"])),
        notelen=given["default_note_duration"],
        pitch=tuple(given["pitch_range"]),
        drums=given["use_pitchdrum_tokens"],
        drumpitch=tuple(given["drums_pitch_range"]),
        tempos=given["num_tempos"] if given["use_tempos"] else 0,
        temporange=tuple(given["tempo_range"]),
        logtempos=given["log_tempos"],
        mergetempos=given["delete_equal_successive_tempo_changes"],
        ts=tuple(signatures) if given["use_time_signatures"] else (),
        programs=given["use_programs"],
        only=tuple(sorted(given["programs"])),
        stream="one" if given["one_token_stream_for_programs"] else "tracks",
        changes=given["program_changes"],
        rests=_spans(given["beat_res_rest"]) if given["use_rests"] else (),
        dedupe=given["remove_duplicated_notes"],
        chords=given["use_chords"],
        chordroot=given["chord_tokens_with_root_note"],
        chordunknown=bool(given["chord_unknown"]) and given["chord_tokens_with_root_note"],
        pedals=pedals if given["use_sustain_pedals"] else "0",
        bends=given["pitch_bend_range"][2] if given["use_pitch_bends"] else 0,
        keys=given["use_key_signatures"],
        controls=tuple(sorted(given["control_change_numbers"]))
        if given["use_control_changes"]
        else (),
        controlbins=given["control_change_n_bins"],
        intervals=given["max_pitch_interval"] if given["use_pitch_intervals"] else 0,
        intervaldist=given["pitch_intervals_max_time_dist"],
        arguments=given,
    )


def _spans(ranges: Mapping[tuple[int, int], int]) -> Spans:
    return tuple((end - start, resolution) for (start, end), resolution in ranges.items())


_SWITCHES = {
    "use_velocities": ("num_velocities",),
    "use_pitchdrum_tokens": ("drums_pitch_range",),
    "use_tempos": (
        *("num_tempos", "tempo_range", "log_tempos"),
        "delete_equal_successive_tempo_changes",
    ),
    "use_time_signatures": ("time_signature_range",),
    "use_programs": ("programs", "one_token_stream_for_programs", "program_changes"),
    "use_rests": ("beat_res_rest",),
    "use_chords": ("chord_tokens_with_root_note", "chord_unknown"),
    "use_sustain_pedals": ("sustain_pedal_duration",),
    "use_pitch_bends": ("pitch_bend_range",),
    "use_control_changes": ("control_change_numbers", "control_change_n_bins"),
    "use_pitch_intervals": ("max_pitch_interval", "pitch_intervals_max_time_dist"),
}
"""What has no effect while a switch is off."""


def is_exact(config: MidiTokConfig) -> bool:
    """Return whether the shared options say all that MidiTok's arguments do, but special tokens.

    Then array code encodes as MidiTok does, of the classes that it knows.
    """
    given = config.options.arguments
    if given is None:
        return True
    said = replace(config.options, arguments=None).miditok_arguments()
    idle = {key for switch, keys in _SWITCHES.items() if not given[switch] for key in keys}
    odd_bars = config.kind == "REMI" and any(given.get(key) for key in _BARS_ELSE)
    return not odd_bars and all(
        _plain(given[key]) == _plain(value) for key, value in said.items() if key not in idle
    )


def _plain(value: Any) -> Any:
    """Return a value in which sets, tuples and lists of the same things are equal."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return sorted(value) if isinstance(value, list | tuple | set) else value
