"""Sampling: lengths, the grammar, prompts, the cache, and what each sample depends on."""

from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import Fixed, save_tiny, some_merges, tiny_vocab, tok_of

from midigen import onsets, sampler
from midigen.asked import resolve
from midigen.barlines import bar_line, bar_line_s
from midigen.constrain import Lifted
from midigen.context import carry, context
from midigen.controls import Controls
from midigen.draft import Draft
from midigen.errors import MidigenError, Reject
from midigen.guards import LOOPS
from midigen.modelfolder import Loaded, load
from midigen.modelvocab import ModelVocab
from midigen.plan import BAR_LIMIT, Limits, Plan
from midigen.prompts import Prompt, make_prompt, unprompted
from midigen.record import complete
from midigen.sampled import Request, Samples
from midigen.sampler import Settings, sample
from midigen.tokenizers import tokenizer_of


@pytest.fixture(scope="module", params=["plain", "merged"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A tiny model without and with merges, of a window that samples outgrow."""
    merges = some_merges("remi") if request.param == "merged" else ()
    folder = tmp_path_factory.mktemp(request.param)
    return load(save_tiny(folder, tiny_vocab(merges=merges)))


def plan_for(vocab: ModelVocab, limits: Limits = Limits(), **options: Any) -> Plan:  # noqa: B008
    tokenizer = tokenizer_of(vocab.tok)
    grammar = Lifted(tokenizer.grammar(), vocab.expansions)
    settings = {"grammar": grammar, "window": 128, "seed": 0} | options
    return Plan(vocab, tokenizer, limits=limits, **settings)


def ids_of(*tokens: str) -> list[int]:
    index = tokenizer_of(tok_of("remi")).vocab.index
    return [index[token] for token in tokens]


def piece(bars: int, notes: int = 4) -> list[int]:
    """Return a piece in 3/4 at a slow tempo, with `notes` notes a bar."""
    ids = []
    for bar in range(bars):
        ids += ids_of("Bar_None", "TimeSig_3/4", "Position_0")
        ids += ids_of("Tempo_60.32") if bar == 0 else []
        for note in range(notes):
            ids += ids_of(f"Position_{note}") if note else []
            ids += ids_of(
                "Program_0", f"Pitch_{60 + (bar + note) % 20}", "Velocity_63", "Duration_1.0.8"
            )
    return ids


def record_of(ids: list[int], **more: Any) -> dict[str, Any]:
    return complete({"id": "0123456789abcdef", "tok": tok_of("remi"), "ids": ids} | more)


def biased(vocab: ModelVocab, *favourites: int) -> Fixed:
    """Return a model that likes the first of `favourites` best, then the second, and so on."""
    logits = torch.zeros(len(vocab))
    for rank, id in enumerate(favourites):
        logits[id] = 100.0 - rank
    return Fixed(logits)


def write(model: Any, plan: Plan, settings: Settings = Settings(), count: int = 1) -> list[Draft]:  # noqa: B008
    drafts = (Draft(plan, unprompted(plan, {}), index) for index in range(count))
    return list(sample(model, plan.window, drafts, settings, batch=8))


EXTREMES = [
    pytest.param(Limits(bars=2), Settings(temperature=2.0), id="hot"),
    pytest.param(Limits(bars=1), Settings(temperature=0.1), id="cold"),
    pytest.param(Limits(bars=1), Settings(top_k=1), id="one choice"),
    pytest.param(Limits(tokens=200), Settings(temperature=2.0), id="tokens hot"),
    pytest.param(Limits(tokens=50), Settings(temperature=0), id="tokens greedy"),
    pytest.param(Limits(tokens=7), Settings(), id="a note"),
]


@pytest.mark.parametrize(("limits", "settings"), EXTREMES)
def test_samples_under_the_grammar_need_no_repair_and_keep_their_length(
    tiny: Loaded, limits: Limits, settings: Settings
) -> None:
    tokenizer = tokenizer_of(tiny.vocab.tok)
    request = Request(5, 18, limits=limits, settings=settings, batch=9)
    records = list(Samples(tiny, request).from_nothing())
    assert len(records) == 18
    repairs = Counter[str]()
    for record in records:
        repairs.update(tokenizer.decode([record["ids"]]).repairs)
        bars = len(tokenizer.bar_starts(np.array(record["ids"])))
        if limits.bars is not None:
            assert bars == limits.bars == record["n"]["bars"]
        if limits.tokens is not None:
            assert limits.tokens - 6 < len(record["ids"]) <= limits.tokens
    assert repairs == Counter()


def test_logits_with_the_cache_equal_those_without(
    tiny: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of different lengths, rows that take over from others, windows that are outgrown."""
    drafts = []
    for index, bars in enumerate((1, 3, 0, 6, 40, 2)):
        plan = plan_for(tiny.vocab, Limits(tokens=100 + 25 * index))
        prompt = make_prompt(plan, record_of(piece(bars)), {}, None)
        drafts.append(Draft(plan, prompt, index))
    renewed = 0
    seen_rows = set()

    def checked(logits: np.ndarray, drafts: list[Draft], settings: Settings) -> list[int | None]:
        nonlocal renewed
        seen_rows.add(len(drafts))
        for row, draft in zip(logits, drafts, strict=True):
            renewed += len(draft.ids) > plan.window
            assert len(draft.context) <= plan.window
            with torch.inference_mode():
                whole = tiny.model(torch.tensor([draft.context]))[0, -1].double().numpy()
            assert np.abs(row - whole).max() < 1e-4
        return choose(logits, drafts, settings)

    choose = sampler.choose
    monkeypatch.setattr(sampler, "choose", checked)
    done = list(sample(tiny.model, plan.window, iter(drafts), Settings(), batch=3))
    assert done == drafts and all(draft.done for draft in done)
    assert renewed > 100 and seen_rows == {1, 2, 3}


def test_a_sample_depends_on_seed_and_number_and_not_on_its_company(tiny: Loaded) -> None:
    def ids(seed: int, count: int, batch: int) -> list[list[int]]:
        request = Request(seed, count, limits=Limits(tokens=60), batch=batch)
        return [record["ids"] for record in Samples(tiny, request).from_nothing()]

    five = ids(1, 5, 4)
    assert ids(1, 5, 4) == five
    assert ids(1, 3, 1) == five[:3]
    assert len({tuple(sample) for sample in five + ids(2, 5, 4)}) == 10


def test_records_come_in_order_though_later_ones_are_done_first() -> None:
    vocab = tiny_vocab()
    plan = plan_for(vocab, Limits(tokens=40))
    drafts = [
        Draft(plan, unprompted(plan, {}), 0),
        Draft(plan_for(vocab, Limits(tokens=4)), unprompted(plan, {}), 1),
    ]
    model = biased(vocab)
    assert list(sample(model, 128, iter(drafts), Settings(), batch=2)) == drafts


def bars_and_notes(ids: list[int]) -> tuple[int, list[int]]:
    """Return how many bars there are, and the bar of each note, counted from 1."""
    bar, notes = 0, []
    for token in (tokenizer_of(tok_of("remi")).vocab.tokens[id] for id in ids):
        bar += token == "Bar_None"
        if token.startswith("Pitch"):
            notes.append(bar)
    return bar, notes


def test_an_open_sample_ends_where_the_model_says_so_and_a_piece_may_end() -> None:
    vocab = tiny_vocab()
    plan = plan_for(vocab)
    (draft,) = write(biased(vocab, vocab.eos or 0), plan)
    # Not before there is a note.
    assert bars_and_notes(draft.ids) == (1, [1])
    assert plan.is_valid(draft.ids) and not any(
        plan.is_valid(draft.ids[:end]) and bars_and_notes(draft.ids[:end])[1]
        for end in range(len(draft.ids))
    )


def test_an_open_sample_ends_within_32_bars_and_is_not_silent_for_long() -> None:
    vocab = tiny_vocab()
    (draft,) = write(biased(vocab, *ids_of("Bar_None", "TimeSig_4/4")), plan_for(vocab))
    assert bars_and_notes(draft.ids) == (32, [5, 10, 15, 20, 25, 30])
    assert draft.ids[:9] == (ids_of("Bar_None", "TimeSig_4/4") * 5)[:9]


class Round(Fixed):
    """A model that writes the same ids over and over: each is behind the one before it."""

    def __init__(self, vocab: ModelVocab, ids: list[int]) -> None:
        super().__init__(torch.zeros(len(vocab), len(vocab)))
        self.logits[vocab.bos or 0, ids[0]] = 100.0
        for before, behind in zip(ids, ids[1:] + ids[:1], strict=True):
            self.logits[before, behind] = 100.0

    def step(self, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        cache.length += ids.shape[1]
        return self.logits[ids]


@pytest.mark.parametrize("merges", [False, True])
def test_no_more_than_eight_bars_in_a_row_are_the_same(merges: bool) -> None:
    vocab = tiny_vocab(merges=some_merges("remi") if merges else ())
    bar = ids_of("Bar_None", "TimeSig_4/4", "Position_0", "Program_0", "Pitch_60", "Velocity_63")
    model = Round(vocab, [*bar, *ids_of("Duration_1.0.8")])
    (draft,) = write(model, plan_for(vocab, Limits(bars=30)))
    ends = [*draft.bars[:30], len(draft.ids)]
    bars = [tuple(draft.ids[a:b]) for a, b in pairwise(ends)]
    runs = [len(list(run)) for _, run in groupby(bars)]
    assert len(bars) == 30 and max(runs) == LOOPS == 8
    (draft,) = write(model, plan_for(vocab, Limits(tokens=100), grammar=None))
    assert draft.ids == ([*bar, *ids_of("Duration_1.0.8")] * 15)[:100]


def test_the_end_must_wait_for_the_last_bar_that_was_asked_for() -> None:
    vocab = tiny_vocab()
    model = biased(vocab, vocab.eos or 0, *ids_of("Bar_None", "TimeSig_4/4"))
    (draft,) = write(model, plan_for(vocab, Limits(bars=3)))
    assert bars_and_notes(draft.ids) == (3, [3])
    assert draft.ids[:5] == (ids_of("Bar_None", "TimeSig_4/4") * 3)[:5]


def test_a_bar_that_never_ends_is_ended() -> None:
    vocab = tiny_vocab()
    note = ids_of("Program_0", *[f"Pitch_{p}" for p in range(40, 60)], "Velocity_63")
    places = ids_of("Duration_1.0.8", *[f"Position_{p}" for p in range(32)])
    model = biased(vocab, *note, *places, *ids_of("TimeSig_4/4"))
    (draft,) = write(model, plan_for(vocab, Limits(bars=2)), Settings(temperature=0))
    assert draft.ids.count(ids_of("Bar_None")[0]) == 2
    assert 2 * 1024 <= len(draft.ids) < 2 * 1032


@pytest.mark.parametrize("merges", [False, True])
def test_no_note_stands_twice_at_an_onset(merges: bool) -> None:
    vocab = tiny_vocab(merges=some_merges("remi") if merges else ())
    tokens = ["Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8", "Position_5", "Bar_None"]
    # A merged id of a whole note, too, is liked best.
    merged = [len(vocab.base) + 44] if merges else []
    model = biased(vocab, *merged, *ids_of(*tokens, "TimeSig_4/4"))
    (draft,) = write(model, plan_for(vocab, Limits(bars=2)), Settings(temperature=0.1))
    starts = notes_at_onsets(draft.ids)
    assert len(starts) > 2
    assert set(starts.values()) == {1}


def notes_at_onsets(ids: list[int]) -> Counter[tuple[int, str, str, str]]:
    """Count the notes of remi ids by bar, position, program and pitch."""
    tokens = tokenizer_of(tok_of("remi")).vocab.tokens
    found: Counter[tuple[int, str, str, str]] = Counter()
    bar, place, program = 0, "", ""
    for token in (tokens[id] for id in ids):
        kind = token.partition("_")[0]
        bar += kind == "Bar"
        place = token if kind == "Position" else place
        program = token if kind == "Program" else program
        if kind in ("Pitch", "PitchDrum"):
            found[bar, place, program, token] += 1
    return found


LOVE_OF_NOTES = [
    ("remi", "Bar Position Program Pitch PitchDrum Velocity Duration"),
    ("barnote", "Pitch Duration"),
    ("miditok", "Program Pitch PitchDrum Velocity Duration"),
    ("miditok:class=Structured", "TimeShift_0.0.1 Program Pitch PitchDrum Velocity Duration"),
    ("miditok:class=MIDILike", "Program NoteOn DrumOn Velocity"),
    ("miditok:class=MMM", "Program Pitch PitchDrum Velocity Duration"),
]


@pytest.mark.parametrize(("spec", "loved"), LOVE_OF_NOTES)
def test_notes_of_an_onset_are_not_too_many(spec: str, loved: str) -> None:
    vocab = tiny_vocab(spec)
    kinds = [kind in loved.split() for kind in vocab.base.types]
    names = [token in loved.split() for token in vocab.base.tokens]
    logits = torch.zeros(len(vocab))
    logits[: len(kinds)] = 20.0 * (torch.tensor(kinds) | torch.tensor(names))
    plan = plan_for(vocab, Limits(tokens=1000))
    (draft,) = write(Fixed(logits), plan)
    tracks = plan.tokenizer.decode([draft.ids]).value.tracks
    notes = Counter(note.time for track in tracks for note in track.notes)
    # A track of its own, and an offset past the next bar's line, are other onsets at the same time.
    onsets_at_once = 2 if spec in ("barnote", "miditok:class=MMM") else 1
    assert onsets.MOST <= max(notes.values()) <= onsets_at_once * onsets.MOST
    if onsets_at_once == 1:
        same = ((t.program, t.is_drum, note.time, note.pitch) for t in tracks for note in t.notes)
        assert set(Counter(same).values()) == {1}


NO_LOVE_OF_NOTES = [
    *("remi", "barnote", "events", "miditok"),
    "remi:bends=32,chords=1,keys=1,pedals=1",
    *(
        f"miditok:class={name}"
        for name in ("MIDILike", "CPWord", "MuMIDI", "MMM", "PerTok", "BEAT")
    ),
]


def disliking_notes(plan: Plan) -> Fixed:
    return Fixed(torch.from_numpy(np.where(plan.notes, 0.0, 20.0)).float())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("spec", NO_LOVE_OF_NOTES)
def test_no_sample_is_silent_though_the_model_loves_no_note(spec: str, temperature: float) -> None:
    vocab = tiny_vocab(spec)
    for limits in (Limits(tokens=48), Limits(tokens=300)):
        plan = plan_for(vocab, limits)
        drafts = write(disliking_notes(plan), plan, Settings(temperature=temperature), count=3)
        for draft in drafts:
            assert plan.tokenizer.decode([draft.ids]).value.note_num() > 0


@pytest.mark.parametrize("merges", [False, True])
@pytest.mark.parametrize("limits", [Limits(bars=1), Limits(bars=3), Limits(tokens=200)])
@pytest.mark.parametrize(
    "controls",
    [Controls(programs=frozenset({-1})), Controls(programs=frozenset({0})), Controls(tempo=90)],
    ids=["drums", "piano", "tempo"],
)
def test_the_note_that_must_come_keeps_to_what_was_asked(
    merges: bool, limits: Limits, controls: Controls
) -> None:
    vocab = tiny_vocab(merges=some_merges("remi") if merges else ())
    plan = plan_for(vocab, limits, controls=controls)
    for draft in write(disliking_notes(plan), plan, count=3):
        score = plan.tokenizer.decode([draft.ids]).value
        assert score.note_num() > 0
        if controls.programs is not None:
            programs = {-1 if track.is_drum else track.program for track in score.tracks}
            assert programs == controls.programs
        else:
            assert abs(60e6 / score.tempos[0].mspq - 90) < 3


def test_the_way_to_a_note_depends_on_the_state_alone() -> None:
    vocab = tiny_vocab("miditok:class=MuMIDI")
    plan, other = plan_for(vocab), plan_for(vocab)
    state = plan.grammar.start()
    ways = plan.ways.from_state(state)
    for later in list(ways)[:12]:
        other.ways.from_state(later)
    again = other.ways.from_state(state)
    assert all(np.array_equal(ways[key], again[key]) for key in ways | again)
    # Every id of the way leads on along it, or is a note.
    for state, ids in ways.items():
        assert ids.any()
        for id in np.flatnonzero(ids & ~plan.notes):
            assert plan.grammar.step(state, int(id)) in ways


def test_an_onset_of_a_prompt_may_have_any_notes() -> None:
    vocab = tiny_vocab()
    note = ids_of("Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8")
    ids = [*ids_of("Bar_None", "TimeSig_4/4", "Position_0"), *note * 20]
    found = onsets.Onsets(vocab, 1)
    onset = found.behind(onsets.Onset(), ids)
    forbidden = set(found.forbidden(onset))
    assert set(note[:2]) <= forbidden
    assert forbidden.isdisjoint(ids_of("Bar_None", "Position_1", "Velocity_63"))
    assert found.forbidden(found.behind(onset, ids_of("Position_1"))) is None


def test_seconds_are_whole_bars_that_fit() -> None:
    vocab = tiny_vocab()
    # At 120 quarters a minute, for want of a tempo, a bar of 4/4 lasts 2 s.
    model = biased(vocab, *ids_of("Bar_None", "TimeSig_4/4"))
    for seconds, bars in [(0.5, 1), (2.0, 1), (5.9, 2), (6.0, 3)]:
        (draft,) = write(model, plan_for(vocab, Limits(seconds=seconds)))
        assert bars_and_notes(draft.ids) == (bars, [1])


def test_without_the_grammar_tokens_are_exact_and_anything_decodes(tiny: Loaded) -> None:
    request = Request(1, 4, limits=Limits(tokens=77), use_grammar=False)
    for record in Samples(tiny, request).from_nothing():
        assert len(record["ids"]) == 77
        assert tokenizer_of(record["tok"]).decode([record["ids"]]).repairs


def test_fewer_tokens_than_the_shortest_piece_are_refused() -> None:
    plan = plan_for(tiny_vocab(), Limits(tokens=1))
    with pytest.raises(MidigenError, match="shortest piece has 2"):
        unprompted(plan, {})


def test_a_model_without_specials_and_conditions_begins_from_the_grammar() -> None:
    base = tiny_vocab()
    vocab = ModelVocab(base.base, base.tok, specials=False)
    plan = plan_for(vocab, Limits(bars=1))
    drafts = write(biased(vocab), plan, count=3)
    assert all(draft.ids[0] == ids_of("Bar_None")[0] for draft in drafts)


def test_the_context_is_conditions_then_the_beginning() -> None:
    vocab = tiny_vocab()
    plan = plan_for(vocab)
    asked = resolve(vocab, {"era": ["1980S"], "genre": ["hip hop", "Pop"], "artist": ["BJORK"]})
    assert asked == {"genre": ["Hip-Hop", "pop"], "artist": ["Björk"], "era": ["1980s"]}
    words = [vocab.token(id) for id in Draft(plan, unprompted(plan, asked), 0).context]
    assert words == ["genre=Hip-Hop", "genre=pop", "artist=Björk", "era=1980s", "BOS_None"]


def test_an_unknown_name_is_an_error_that_lists_the_nearest_first() -> None:
    with pytest.raises(MidigenError, match="no genre 'clasical'; it knows classical, "):
        resolve(tiny_vocab(), {"genre": ["clasical"]})
    with pytest.raises(MidigenError, match=r"knows no artist.*it knows genre"):
        resolve(tiny_vocab(conditions={"genre": {"pop": 1}}), {"artist": ["Björk"]})


def test_a_long_prompt_is_read_from_its_last_whole_bars_with_what_is_in_force() -> None:
    vocab = tiny_vocab()
    plan = plan_for(vocab)
    conditions = [vocab.conditions["genre"]["pop"]]
    read = context(plan, conditions, piece(30))
    assert len(read) <= plan.window // 2 + 4
    words = [vocab.token(id) for id in read]
    assert words[:5] == ["genre=pop", "Bar_None", "TimeSig_3/4", "Position_0", "Tempo_60.32"]
    assert words.count("Bar_None") == 2
    assert read[-len(piece(1)) :] == piece(30)[-len(piece(1)) :]


def test_a_prompt_of_one_endless_bar_is_cut_at_its_front() -> None:
    plan = plan_for(tiny_vocab())
    ids = piece(1, notes=2) + piece(1, notes=90)[3:]
    assert context(plan, [], ids) == ids[-64:]


def test_a_long_prompt_without_a_bar_is_cut_at_its_front() -> None:
    ids = ids_of("Position_0", "Position_1") * 70
    assert context(plan_for(tiny_vocab()), [], ids) == ids[-64:]


def test_what_is_in_force_is_written_before_the_first_note_and_only_if_missing() -> None:
    vocab = tokenizer_of(tok_of("remi")).vocab
    past = ids_of("Bar_None", "TimeSig_4/4", "Position_0", "Tempo_60.32")
    note = ids_of("Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8")
    bar = ids_of("Bar_None", "TimeSig_4/4")
    inserted = ids_of("Position_0", "Tempo_60.32")
    assert carry(vocab, past, bar + ids_of("Position_4") + note) == (
        bar + inserted + ids_of("Position_4") + note
    )
    assert carry(vocab, past, bar + ids_of("Position_0") + note) == bar + inserted + note
    own = bar + ids_of("Position_0", "Tempo_121.29") + note
    assert carry(vocab, past, own) == own
    assert carry(vocab, [], bar + note) == bar + note


def test_programs_in_force_are_carried_where_they_are_named_at_changes_only() -> None:
    vocab = tokenizer_of(tok_of("remi:changes=1,tempos=0,ts=0")).vocab
    tokens = ["Bar_None", "Position_0", "Program_5", "Pitch_60", "Velocity_63", "Duration_1.0.8"]
    past = [vocab.index[token] for token in tokens]
    now = [vocab.index[token] for token in tokens if token != "Program_5"]
    assert carry(vocab, past, now) == past


def prompted(record: dict[str, Any], bars: int | None = None) -> Prompt:
    return make_prompt(plan_for(tiny_vocab()), record, {}, bars)


def test_a_prompt_is_its_first_bars() -> None:
    prompt = prompted(record_of(piece(6)), bars=2)
    assert (list(prompt.ids), prompt.bars) == (piece(2), 2)
    assert list(prompted(record_of(piece(6)), bars=60).ids) == piece(6)


def test_an_event_that_is_cut_off_is_left_out_of_a_prompt() -> None:
    assert list(prompted(record_of(piece(2)[:-1])).ids) == piece(2)[:-5]


@pytest.mark.parametrize(
    ("record", "reason", "words"),
    [
        (record_of([1, 2]) | {"tok": "remi:tempos=0#01234567"}, "tok", "the model reads remi#"),
        (record_of([4, 565]), "record", "565 not in 0..564"),
        (record_of(piece(1)[1:]), "grammar", "TimeSig_3/4 cannot stand at place 0"),
    ],
)
def test_what_cannot_be_a_prompt_is_a_reject(
    record: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(Reject, match=words) as caught:
        prompted(record)
    assert caught.value.reason == reason


def test_a_prompts_own_conditions_hold_unless_others_are_asked_for() -> None:
    vocab = tiny_vocab()
    record = record_of(piece(1), meta={"genre": ["POP", "polka"], "year": 1987})
    plan = plan_for(vocab)
    prompt = make_prompt(plan, record, {}, None)
    assert prompt.asked == {"genre": ["pop"], "era": ["1980s"]}
    prompt = make_prompt(plan, record, {"genre": ["classical"]}, None)
    assert prompt.asked == {"genre": ["classical"], "era": ["1980s"]}


def test_what_is_new_begins_with_a_bar_and_counts_alone(tiny: Loaded) -> None:
    plan = plan_for(tiny.vocab, Limits(bars=2))
    prompt = make_prompt(plan, record_of(piece(3)), {}, None)
    (draft,) = sample(tiny.model, 128, [Draft(plan, prompt, 0)], Settings(), 1)
    assert draft.ids[: len(piece(3))] == piece(3)
    assert draft.new[0] == ids_of("Bar_None")[0]
    assert plan.tokenizer.bar_starts(np.array(draft.ids)).size == 5


def test_bar_lines_follow_signatures_and_tempos() -> None:
    import symusic

    score = symusic.Score(480)
    assert (bar_line(score, 3), bar_line_s(score, 3)) == (5760, 6.0)
    for time, above in [(0, 3), (2880, 4), (2880 + 1920 + 960, 2)]:
        score.time_signatures.append(symusic.TimeSignature(time, above, 4))
    score.tempos.append(symusic.Tempo(0, 60.0))
    score.tempos.append(symusic.Tempo(2880, 120.0))
    lines = [bar_line(score, bar) for bar in range(6)]
    assert lines == [0, 1440, 2880, 4800, 5760, 6720]
    assert bar_line_s(score, 3) == pytest.approx(8.0)


def test_starter_weights_are_found_by_nobody_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from midigen import checkpoints

    monkeypatch.setattr(checkpoints, "installed", lambda kind: {})
    with pytest.raises(MidigenError, match="no starter weights are installed; -m DIR"):
        checkpoints.find(None)
    assert checkpoints.find(str(tmp_path)) == tmp_path


def test_the_way_to_a_valid_end_adds_no_bar() -> None:
    vocab = tiny_vocab("remi:rests=1")
    index = vocab.base.index
    names = ["Rest_1.0.4", "Bar_None", "TimeSig_4/4"]
    model = biased(vocab, *[index[name] for name in names])
    (draft,) = write(model, plan_for(vocab, Limits(bars=1)), Settings(temperature=0))
    assert draft.ids[0] == index["Bar_None"]
    assert draft.ids.count(index["Bar_None"]) == 1
    assert plan_for(vocab).is_valid(draft.ids)


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_guidance_weighs_what_the_conditions_change(tiny: Loaded, guidance: float) -> None:
    """Also in rows that have been taken over by other drafts, and past the window."""
    vocab, window = tiny.vocab, 128
    plan = plan_for(vocab, Limits(bars=300))
    asked = [resolve(vocab, {"genre": [name]}) for name in ("pop", "classical")]
    asked.append({})
    drafts = [Draft(plan, unprompted(plan, asked[k % 3]), k) for k in range(5)]
    rows = sampler.Rows(tiny.model, window, drafts[:4], guidance)

    @torch.inference_mode()
    def check() -> None:
        for draft, found in zip(rows.drafts, rows.logits, strict=True):
            count = len(draft.prompt.conditions)
            whole, plain = (
                tiny.model(torch.tensor([ids]))[0, -1].double().numpy()
                for ids in (draft.context, draft.context[count:])
            )
            np.testing.assert_allclose(found, plain + guidance * (whole - plain), atol=2e-4)

    for step in range(160):
        ids = sampler.choose(rows.logits, rows.drafts, Settings())
        for draft, id in zip(rows.drafts, ids, strict=True):
            assert id is not None
            draft.accept(id)
        if step == 20:
            rows.replace(0, drafts[4])
        if step == 36:
            rows.keep([0, 2, 3])
        if step == 150:
            rows.keep([1])
        rows.advance()
        if step % 16 == 4 or step == 159:
            check()


def test_guidance_needs_something_to_read_unasked(tmp_path: Path) -> None:
    base = tiny_vocab()
    vocab = ModelVocab(base.base, base.tok, specials=False, conditions=base.counts)
    loaded = load(save_tiny(tmp_path, vocab))
    with pytest.raises(MidigenError, match="BOS"):
        Samples(loaded, Request(0, settings=Settings(guidance=2.0)))


@pytest.mark.parametrize("limits", [Limits(bars=3), Limits(seconds=6.0)])
@pytest.mark.parametrize("loves", ["TimeShift", "Tempo"])
@pytest.mark.parametrize("spec", ["miditok", "miditok:class=MIDILike"])
def test_where_time_makes_bars_they_come_though_the_model_loves_what_begins_none(
    spec: str, loves: str, limits: Limits
) -> None:
    vocab = tiny_vocab(spec)
    logits = torch.zeros(len(vocab))
    kinds = vocab.base.types
    logits[[i for i, kind in enumerate(kinds) if kind == loves]] = 30.0
    plan = plan_for(vocab, limits)
    (draft,) = write(Fixed(logits), plan, Settings(temperature=0.0))
    assert len(draft.ids) < plan.tokens and plan.is_valid(draft.ids)
    bars = plan.bar_starts(draft.ids)
    assert limits.bars in (None, len(bars)) and bars
    ends = [*bars[1:], len(draft.ids)]
    assert max(end - start for start, end in zip(bars, ends, strict=True)) < 2 * BAR_LIMIT
    assert plan.tokenizer.decode([draft.ids]).value.note_num() > 0


def test_merged_ids_never_keep_a_bar_from_beginning() -> None:
    """One that begins and ends inside of a note leads from itself to itself."""
    inner = tuple(ids_of("Pitch_60", "Velocity_63", "Duration_1.0.8", "Program_0"))
    size = len(tiny_vocab().base)
    pairs = zip((inner[0], size, size + 1), inner[1:], strict=True)
    vocab = tiny_vocab(merges=pairs)
    ring = next(i for i in range(len(vocab)) if tuple(vocab.expansion(i)) == inner)
    logits = torch.zeros(len(vocab))
    logits[ring] = 30.0
    plan = plan_for(vocab, Limits(bars=3))
    (draft,) = write(Fixed(logits), plan, Settings(temperature=0.0))
    assert len(plan.bar_starts(draft.ids)) == 3
    assert len(draft.ids) < 4 * BAR_LIMIT


def loving(spec: str, name: str) -> tuple[Plan, Fixed]:
    """Return a plan of three bars, and a model that loves the ids whose token has this name."""
    vocab = tiny_vocab(spec)
    logits = torch.zeros(len(vocab))
    logits[[i for i, token in enumerate(vocab.base.tokens) if name in token]] = 30.0
    return plan_for(vocab, Limits(bars=3)), Fixed(logits)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    "spec,name",
    [
        ("miditok:class=Octuple", "2.Bar_255"),
        ("miditok:class=Octuple", "2.Bar_0"),
        ("miditok:class=BEAT", "Tempo_"),
        ("miditok:class=BEAT", "Rest_None"),
        ("miditok:class=MMM", "Track_End"),
        ("miditok:class=MMM", "Bar_None"),
    ],
)
def test_bars_asked_are_bars_got_and_one_has_a_note_whatever_the_model_loves(
    spec: str, name: str, temperature: float
) -> None:
    plan, model = loving(spec, name)
    for draft in write(model, plan, Settings(temperature=temperature), count=3):
        assert len(plan.bar_starts(draft.ids)) == 3 and plan.is_valid(draft.ids)
        assert plan.tokenizer.decode([draft.ids]).value.note_num() > 0
        assert len(draft.ids) < plan.tokens
