"""The card of a model: README.md of its folder, made from what the run knows."""

from collections.abc import Mapping
from typing import Any

from midigen.corpus import Corpus
from midigen.modelvocab import ModelVocab
from midigen.settings import Settings
from midigen.spec import parse_tok
from midigen.store import NO_SPLIT
from midigen.stratify import LEAST, SHARE

_RULES = {
    "hash": "by a hash of each piece's group: 10 of 100 test, 10 of 100 validation",
    "held": "few groups: those with the smallest hashes are held out",
    "tail": "a single piece: its last tenth is held out and serves as validation and test",
}
_COLUMNS = {
    "loss": "a token",
    "loss_note": "a note",
    "loss_bar": "a bar",
    "loss_byte": "a byte",
    "bits_byte": "bits a byte",
}
"""Of the table of losses; those of music or those of text are there."""


def write_card(
    title: str,
    corpus: Corpus,
    vocab: ModelVocab,
    settings: Settings,
    run: Mapping[str, Any],
    final: Mapping[str, Any],
    about: str,
) -> str:
    """Return the card as Markdown.

    run: `parameters`, `steps`, `tokens`, `minutes`, `ending`, `command`, `best_step`.
    final: `val` and `test` reports. about: the user's own words, put first.
    """
    parts = [f"# {title}\n", about.strip() + "\n" if about else "", _model(vocab, settings, run)]
    parts += [_data(corpus, vocab, settings), _losses(final), _conditions(vocab)]
    return "\n".join(part for part in parts if part)


def _model(vocab: ModelVocab, settings: Settings, run: Mapping[str, Any]) -> str:
    merges = f", {len(vocab.expansions)} of them merged" if vocab.merges else ""
    return f"""\
A `{settings.model.partition(":")[0]}` of {run["parameters"]:,} parameters over {len(vocab):,} \
ids{merges}, window {settings.window}.
Tokenizer: `{vocab.tok}`.

## Training

    {run["command"]}

{run["steps"]:,} steps of {settings.rows} windows, {run["tokens"]:,} tokens, \
{run["minutes"]:.1f} minutes on {run["device"]}; ended: {run["ending"]}. The weights are those of \
step {run["best_step"]:,}, where validation was lowest. Seed {settings.seed}.

![curves](curves.png)
"""


def _data(corpus: Corpus, vocab: ModelVocab, settings: Settings) -> str:
    store, copies = corpus.store, corpus.store.rows["copy"]
    rows = [
        f"| {name} | {len(span):,} | {int(copies[span.row].sum()):,} | {span.tokens:,} |"
        for name, span in (("train", corpus.train), ("val", corpus.val), ("test", corpus.test))
    ]
    ranges = store.seal["augs"].items()
    augs = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in ranges)
    named = int((store.rows["named"] != NO_SPLIT).sum())
    lines = [
        "## Data\n",
        "| split | pieces | of them copies | tokens |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Records of `{parse_tok(store.tok).spec}`: {len(store):,}, digest `{store.digest}`.",
        f"Split {_RULES[corpus.rule.kind]}; `meta.split` comes first ({named:,} records name one).",
        "Validation and test hold originals only.",
    ]
    if settings.stratify:
        lines.append(
            f"For testing, groups were added until each {settings.stratify} had {LEAST}, or"
            f" {SHARE:.0%} of its own."
        )
    if augs:
        lines.append(f"Copies for training were made with: {augs}.")
    if corpus.duplicates:
        lines.append(f"Left out as exact duplicates: {corpus.duplicates:,}.")
    if corpus.twins:
        lines.append(f"Left out because a twin is held out: {corpus.twins:,}.")
    return "\n".join(lines) + "\n"


def _losses(final: Mapping[str, Any]) -> str:
    columns = {key: title for key, title in _COLUMNS.items() if key in final["val"]}
    about = "Nats, over whole held-out pieces in windows with a stride of half the window."
    if "loss_note" in columns:
        about += (
            " A near-duplicate shares half of its sixteen-note passages or more with a training"
            " piece."
        )
    lines = [
        "## Losses\n",
        f"{about}\n",
        f"| pieces | number | {' | '.join(columns.values())} |",
        "|---" * (2 + len(columns)) + "|",
    ]
    for name in ("val", "test"):
        lines.append(_loss_row(name, final[name]))
        if final[name]["clean"]["pieces"] < final[name]["pieces"]:
            lines.append(_loss_row(f"{name}, no near-duplicates", final[name]["clean"]))
        for genre, found in final[name]["genres"].items():
            lines.append(_loss_row(f"{name}, {genre}", found))
    return "\n".join(lines) + "\n"


def _loss_row(name: str, found: Mapping[str, Any]) -> str:
    losses = ["" if found[key] is None else f"{found[key]:.4f}" for key in _COLUMNS if key in found]
    return f"| {name} | {found['pieces']:,} | {' | '.join(losses)} |"


def _conditions(vocab: ModelVocab) -> str:
    if not vocab.counts:
        return ""
    lines = ["## Conditions\n"]
    for field, values in vocab.counts.items():
        shown = ", ".join(f"{value} ({count:,})" for value, count in list(values.items())[:40])
        more = f" and {len(values) - 40} more" if len(values) > 40 else ""
        lines.append(f"- {field}: {shown}{more}")
    return "\n".join(lines) + "\n"
