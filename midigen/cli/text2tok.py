"""text2tok: text to records."""

from typing import Annotated

from midigen.cli._edge import (
    Argument,
    Assignments,
    Command,
    Example,
    FilesFrom,
    Force,
    Null,
    Option,
    Output,
    RejectsFile,
    Run,
    TokenizerOption,
)

PIECES = """\
Each piece is a record of its own, with its own id and group, so that a model can be validated on
some pieces of a book and trained on the others. --per file takes a file as a whole, up to 64 MiB;
--per line and --per paragraph cut at line ends and behind blank lines, which stay at the end of the
piece before them; a size (4096, 64k, 1m) cuts behind the last line end of the second half of so
many bytes, where there is none behind a space, else between two characters. No cut is ever inside a
character of UTF-8, and the pieces, end to end, are the text, byte for byte: tok2text gives it back.

The id is a hash of the piece's bytes: what occurs again has the same id, and toktrain counts it
once. The group is a hash of its words without regard to case, spacing and line breaks. src is the
name of the file and the number of the piece, as in book.txt#3; n.bytes is its length. toktrain
holds whole pieces out: cut a short book smaller (--per 8k), so that more of it is trained on."""

ENCODING = """\
The tokenizer text has the 256 bytes as ids. Text that is not UTF-8 is kept as it is and counted;
with --strict it is a reject. Models write UTF-8 and go on from nothing else, so convert it first:
iconv -f latin1 -t utf-8."""

REJECTS = """\
A file is not used, and the others go on, for one of these reasons: io (it cannot be read), empty,
too_big (--per file: more than 64 MiB), not_utf8 (with --strict). no_files is a folder without text
files."""


def text2tok(
    run: Run,
    files: Annotated[
        list[str] | None,
        Argument(
            metavar="[FILE|FOLDER]...",
            help="Text files, and folders with *.txt, *.text, *.md and *.abc at any depth; - or"
            " none: text on stdin.",
        ),
    ] = None,
    files_from: FilesFrom = None,
    null: Null = False,
    per: Annotated[
        str,
        Option("--per", metavar="WHAT", help="A record a file, line, paragraph or size in bytes."),
    ] = "64k",
    tokenizer: TokenizerOption = None,
    assign: Assignments = None,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Stop at the first reject with exit code 1; text that is not UTF-8 is one.",
        ),
    ] = False,
) -> None:
    """Turn text into records of bytes, one JSON object a line.

    Long texts are cut into pieces, at line ends. A file that cannot be used is counted, and listed
    with --rejects; the others go on. Exit code 1 if none could be used.
    """
    from midigen.cuts import parse_per
    from midigen.sources import Inputs
    from midigen.texts import convert

    convert(
        run,
        Inputs(files or (), files_from, null),
        parse_per(per),
        tokenizer=tokenizer,
        assignments=assign or (),
        output=output,
        force=force,
        rejects=rejects,
        strict=strict,
    )


main = Command(
    text2tok,
    examples=[
        Example("A book, in pieces of up to 64 KiB.", "text2tok book.txt > book.jsonl"),
        Example("A list of names, a record each.", "text2tok --per line names.txt > names.jsonl"),
        Example(
            "A language model of a book, and what it writes.",
            "text2tok --per 8k book.txt | toktrain --bpe 512 --minutes 5 -o book.model"
            " && toksample -m book.model | tok2text",
        ),
    ],
    sections={"PIECES": PIECES, "ENCODING": ENCODING, "REJECTS": REJECTS},
    see_also=("tok2text", "toktrain", "toksample", "midigen-record"),
)
