"""tok2text: records to text."""

from functools import partial
from typing import Annotated

from midigen.cli._edge import (
    NAME_FIELDS,
    Command,
    Example,
    Force,
    Inputs,
    Option,
    RejectsFile,
    Run,
    Strict,
    TokenizerOption,
)

NAMES = f"""\
Without -o the text goes to stdout; -o with a plain name writes it into that file. All records stand
there end to end, so that what text2tok has cut is whole again; around samples, and around music, is
a blank line. A name with fields in braces gives every record a file of its own:
{NAME_FIELDS}"""

TEXT = """\
Records of the tokenizer text are written byte for byte. What is not UTF-8 is written too, and the
summary counts its places; toksample makes none unless it is told --no-grammar.

Of any other tokenizer the tokens are written, one a line, as its vocabulary spells them, such as
Pitch_60."""


def tok2text(
    run: Run,
    files: Inputs = None,
    output: Annotated[
        str,
        Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write here; with fields like {id} and {n} a file for every record.",
        ),
    ] = "-",
    tokenizer: TokenizerOption = None,
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Write records as text: text as it was, music as its tokens, one a line.

    Each record is read by the tokenizer that it names; its vocabulary must be the one that wrote
    it. A record that cannot be read is counted, and listed with --rejects; the others go on.
    """
    from midigen.decoding import Tokenizers
    from midigen.jsonl import RecordReader
    from midigen.plaintext import Tally, plain_texts, writer_for

    tokenizers = Tokenizers(tokenizer, medium=None)
    paths = run.inputs(files)
    tally = Tally()
    with (
        run.rejects(rejects, strict) as faulty,
        writer_for(output, partial(run.output, force=force), force=force) as write,
    ):
        made = plain_texts(RecordReader(paths, faulty), tokenizers, faulty, run.message)
        for text in run.progress(made):
            write(text)
            tally.add(text)
    run.finish(tally.records, tally.summary(), faulty)


main = Command(
    tok2text,
    examples=(
        Example("There and back.", "text2tok book.txt | tok2text > same.txt"),
        Example(
            "A file for every paragraph.",
            "text2tok --per paragraph book.txt | tok2text -o 'parts/{id}-{n:04}.txt'",
        ),
        Example("How often each token occurs.", "midi2tok song.mid | tok2text | sort | uniq -c"),
    ),
    sections={"FILE NAMES": NAMES, "TEXT AND TOKENS": TEXT},
    see_also=("text2tok", "tok2midi", "toksample", "midigen-record"),
)
