"""`tokeval`: how well a model predicts records."""

from typing import Annotated

from typer import Option

from midigen.cli._edge import (
    Command,
    Device,
    Example,
    Force,
    Inputs,
    ModelOption,
    Output,
    RejectsFile,
    Run,
    Strict,
)

LINES = """\
One JSON object a record: id, src, split, tokens (model ids that were scored, the end of the piece
included), notes, bars, seconds, loss (nats a token), ppl (its exponential, perplexity), loss_note
and loss_bar (nats of the whole piece divided by its notes and bars) and bits_second (bits a second
of music); null where nobody counted. Then one object a split, with the key total in the place of
id: its pieces, counts and losses.

Tokens depend on the tokenizer and on merges, notes do not: only losses a note compare models of
different vocabularies, and only where both encode the same of the music. Where they do not,
--by-type adds to the totals, under types, what each type of token costs: pitches compare with
pitches. Merged tokens are of a type of their own, "merged"; the end of a piece is "end".

Of text there are bytes in the place of notes and bars: bytes (those that were scored), loss_byte
(nats a byte) and bits_byte (the same in bits), which compares models of any vocabulary."""

SPLITS = """\
The split is the one that the model was trained with: meta.split, else the rule in its folder. Each
split has a total of its own. Copies that tokaug made of validation and test pieces are not scored.
Of a model that was trained on a single piece, the last tenth is scored."""

HOW = """\
A piece that is longer than the model's window is read in windows that move by half of it. Every id
is scored once, from at least half a window. Conditions that the record's meta names and the model
knows stand before every window."""


def tokeval(
    run: Run,
    files: Inputs = None,
    model: ModelOption = None,
    split: Annotated[
        str | None, Option("--split", metavar="NAME", help="Only train, val or test.")
    ] = None,
    augmented: Annotated[
        bool, Option("--augmented", help="Also score copies of validation and test pieces.")
    ] = False,
    by_type: Annotated[
        bool, Option("--by-type", help="Say in the totals what each type of token costs.")
    ] = False,
    conditions: Annotated[
        bool,
        Option("--conditions", help="Instead: are samples recognised as what was asked for?"),
    ] = False,
    contrast: Annotated[
        bool,
        Option(
            "--contrast", help="Instead: how much do the right conditions help, wrong ones harm?"
        ),
    ] = False,
    by: Annotated[
        str,
        Option("--field", metavar="KEY", help="With --conditions or --contrast: the field."),
    ] = "genre",
    number: Annotated[
        int,
        Option("--number", "-n", metavar="N", min=1, help="With --conditions: samples a value."),
    ] = 20,
    bars: Annotated[
        int,
        Option(
            "--bars",
            metavar="N",
            min=1,
            help="With --conditions: bars of a sample; with --contrast: first bars of a piece.",
        ),
    ] = 16,
    seed: Annotated[int, Option("--seed", metavar="INT", help="Of the samples.")] = 0,
    device: Device = "auto",
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Score records with a model: nats a token, a note and a bar.

    Without -m the starter model of the installation is used. A record of another vocabulary than
    the model's ends the run.
    """
    from midigen.checkpoints import find
    from midigen.devices import pick
    from midigen.errors import UsageError
    from midigen.evaluate import Evaluation, sentence
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.modelfolder import load
    from midigen.split import SPLITS as NAMES

    if split is not None and split not in NAMES:
        raise UsageError(f"--split {split!r} is not one of {', '.join(NAMES)}")
    if conditions and contrast:
        raise UsageError("--conditions and --contrast exclude each other")
    paths = run.inputs(files)
    if contrast:
        from midigen.contrast import Contrast, tell_contrast

        chosen = pick(device)
        tell_contrast(
            run,
            paths,
            Contrast(load(find(model), chosen), chosen, by, bars, split or "test"),
            output=output,
            force=force,
            rejects=rejects,
            strict=strict,
        )
        return
    if conditions:
        from midigen.recognition import tell_conditions

        tell_conditions(
            run,
            paths,
            load(find(model), pick(device)),
            name=by,
            count=number,
            bars=bars,
            seed=seed,
            output=output,
            force=force,
            rejects=rejects,
            strict=strict,
        )
        return
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        chosen = pick(device)
        evaluation = Evaluation(load(find(model), chosen), chosen, split, augmented, by_type)
        writer = RecordWriter(out, flush=True)
        for line in run.progress(evaluation.lines(RecordReader(paths, faulty), faulty)):
            writer.write(line)
        scored = writer.count
        for line in evaluation.total_lines():
            writer.write(line)
            run.message(sentence(line))
    what = [f"{scored} records scored"]
    what += [f"{count} {reason} skipped" for reason, count in evaluation.skipped.items()]
    run.finish(scored, ", ".join(what), faulty)


CONDITIONS = """\
--conditions asks the model for N samples of each value of a field, as toksample draws them, but
with --guidance 1, with 2, and with what toksample gives without the option (usual), and has a small
classifier say which value each is most like. The classifier is trained on the records that the
model was trained on; its accuracy on the others (real) says how far to believe it. One object a
value: field, value, chance (what guessing would give), real, real_pieces, unasked (the share that
is taken for the value of samples of which nothing was asked), samples, guidance_1, guidance_2 and
usual (shares that were recognised), guidance_1_taken_for, guidance_2_taken_for and usual_taken_for
(how many samples for which value), and usual_guidance."""


CONTRAST = """\
--contrast reads the first bars (16) of the test pieces, or those of --split, with the right value
of --field before them, with none, and with the others that the model knows (12 at most, drawn).
Other fields are left out. One object a value: field, value, split, bars, pieces, groups, notes,
loss_note_right, loss_note_dropped and loss_note_wrong (nats a note; of the wrong ones the mean),
dropped_minus_right and wrong_minus_dropped: the difference and the bounds of its 95 % interval,
paired, from 4,000 bootstrap resamplings of the groups; null for fewer than ten groups, of which
nothing can be said."""


main = Command(
    tokeval,
    examples=(
        Example(
            "the test pieces' losses a token and a note",
            "tokeval -m pop.model --split test tokens.jsonl | tail -n 1",
        ),
        Example(
            "the ten pieces that a model finds oddest",
            "tokeval -m pop.model tokens.jsonl | jq -s 'map(select(.id)) | sort_by(-.loss)[:10]'",
        ),
        Example(
            "does the model listen to its genres?",
            "tokeval --contrast tokens.jsonl",
        ),
    ),
    sections={
        "LINES": LINES,
        "SPLITS": SPLITS,
        "HOW PIECES ARE READ": HOW,
        "CONDITIONS": CONDITIONS,
        "CONTRAST": CONTRAST,
    },
    see_also=("toktrain", "tokfilter", "toksample", "midigen-record"),
)
