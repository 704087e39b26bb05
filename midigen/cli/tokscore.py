"""`tokscore`: put a model's losses into records."""

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

SCORES = """\
Every record passes with a key more, score: loss (nats a token, the end of the piece included), ppl
(its exponential, perplexity), loss_note and loss_bar (nats of the whole piece divided by its notes
and bars) and bits_second (bits a second of music); null where nobody counted. Of text there are
loss_byte and bits_byte. A score that is there already is replaced.

Pieces are read as tokeval(1) reads them, behind the conditions that meta names; but every record is
scored, of any split. A low loss says that the model finds a piece likely. The likeliest samples are
often the plainest: look at some before you trust the order."""


def tokscore(
    run: Run,
    files: Inputs = None,
    model: ModelOption = None,
    device: Device = "auto",
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Add a model's losses to each record: how likely it finds the piece.

    Without -m the starter model of the installation is used. A record of another vocabulary than
    the model's ends the run.
    """
    from midigen.checkpoints import find
    from midigen.devices import pick
    from midigen.evaluate import scored
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.modelfolder import load

    paths = run.inputs(files)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        chosen = pick(device)
        writer = RecordWriter(out, flush=True)
        loaded = load(find(model), chosen)
        for record in run.progress(scored(loaded, chosen, RecordReader(paths, faulty), faulty)):
            writer.write(record)
    run.finish(writer.count, f"{writer.count} records scored", faulty)


main = Command(
    tokscore,
    examples=(
        Example(
            "the best four of 64 samples, as MIDI files",
            "toksample -m pop.model -n 64 --bars 4 | tokscore -m pop.model | tokfilter --best 4"
            " | tok2midi -o 'best/{id}-{n}.mid'",
        ),
        Example(
            "the pieces that a model finds oddest",
            "tokscore -m pop.model tokens.jsonl | tokfilter --best 3 --by=-score.loss_note",
        ),
    ),
    sections={"SCORES": SCORES},
    see_also=("tokeval", "tokfilter", "toksample", "midigen-record"),
)
