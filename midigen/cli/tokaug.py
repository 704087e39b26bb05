"""tokaug: add transposed and re-voiced copies."""

from typing import Annotated

from midigen.cli._edge import (
    Command,
    Example,
    Force,
    Inputs,
    LearnedOption,
    Option,
    Output,
    RejectsFile,
    Run,
    Seed,
    Strict,
)


def tokaug(
    run: Run,
    files: Inputs = None,
    shift: Annotated[
        int,
        Option(
            metavar="N",
            min=0,
            max=60,
            help="Copies transposed by up to N semitones, up or down. Drums stay as they are.",
        ),
    ] = 0,
    velocity: Annotated[
        int,
        Option(
            metavar="N",
            min=0,
            max=127,
            help="Copies louder or softer by up to N velocity tokens.",
        ),
    ] = 0,
    copies: Annotated[
        str, Option(metavar="K", help="Copies of each piece, all different; all: every one.")
    ] = "2",
    seed: Seed = 0,
    tokenizer: LearnedOption = None,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Pass every record unchanged, followed by changed copies of it.

    Copies keep the id and the group of their piece and say in aug what was done. A record that was
    already changed in the same way passes without copies.
    """
    from midigen.augment import Augmenter, Plan, augmented, read_copies
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.tokenizers import learned

    learned(tokenizer)
    augmenter = Augmenter(Plan(shift, velocity, read_copies(copies), seed))
    paths = run.inputs(files)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        reader, writer = RecordReader(paths, faulty), RecordWriter(out)
        for item in run.progress(augmented(reader, augmenter, faulty)):
            if isinstance(item, bytes):
                writer.write_raw(item)
            else:
                writer.write(item)
    said = f"{writer.count - augmenter.copies} records and {augmenter.copies} copies"
    if augmenter.fewer:
        said += f"; fewer copies than asked for {augmenter.fewer}: no more fit the vocabulary"
    run.finish(writer.count, said, faulty)


main = Command(
    tokaug,
    examples=(
        Example(
            "two copies of each piece, up to six semitones away", "tokaug --shift 6 tokens.jsonl"
        ),
        Example(
            "every transposition by up to five semitones, packed",
            "tokaug --shift 5 --copies all tokens.jsonl -o more.jsonl.zst",
        ),
        Example(
            "one copy of each piece, moved in pitch and in loudness",
            "tokaug --shift 3 --velocity 2 --copies 1 < tokens.jsonl > moved.jsonl",
        ),
    ),
    sections={
        "COPIES": """\
--shift draws among the transpositions at which every note of the piece stays within the pitches of
its vocabulary; where fewer fit than --copies asks for, there are fewer copies, and the summary
counts such pieces. Pieces of drums alone get none. meta.key, key signatures and the roots of chords
move with the notes; pitch intervals and drums do not. A piece whose vocabulary cannot tell drums
from notes is moved as a whole.

--velocity moves all velocity tokens by the same number of places in the vocabulary's scale, and
stops at its ends. With --shift and --velocity each copy is moved in both.

What is drawn depends on --seed, the id of the piece and what was done to it before, not on the
order of the stream. Parts of one file that follow one another get the same copies.""",
    },
    see_also=("tokfilter", "toktrain", "midigen-record"),
)
