"""The options that several commands share: the same flag means the same thing everywhere."""

from typing import Annotated

from typer import Argument, Option

Inputs = Annotated[
    list[str] | None,
    Argument(metavar="[FILE]...", help="Record files, plain, gzip or zstd; - or none: stdin."),
]
FilesFrom = Annotated[
    str | None,
    Option("--files-from", metavar="FILE", help="Read names of files, one a line; -: from stdin."),
]
Null = Annotated[
    bool, Option("-0", "--null", help="Names end with NUL (find -print0); alone, read from stdin.")
]
MidiInputs = Annotated[
    list[str] | None,
    Argument(
        metavar="[FILE|FOLDER]...",
        help="MIDI files, and folders with *.mid, *.midi, *.kar and *.rmi at any depth; - or none:"
        " one MIDI file on stdin.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Put this into meta; a key twice gives a list."),
]
Jobs = Annotated[
    int | None,
    Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Number of worker processes; without it one for every core, but one for up to 64"
        " files.",
    ),
]
Timeout = Annotated[
    float, Option("--timeout", metavar="S", min=0.1, help="Give up on a file after S seconds.")
]
Output = Annotated[
    str,
    Option(
        "--output", "-o", metavar="FILE", help="Write here instead of stdout (.gz and .zst pack)."
    ),
]
Force = Annotated[bool, Option("--force", help="Replace what -o names if it exists.")]
RejectsFile = Annotated[
    str | None,
    Option("--rejects", metavar="FILE", help="Append what was not used, and why, as JSON Lines."),
]
Strict = Annotated[bool, Option("--strict", help="Stop at the first reject with exit code 1.")]
Seed = Annotated[int, Option("--seed", metavar="INT", help="Seed of every random choice.")]
TokenizerOption = Annotated[
    str | None,
    Option(
        "--tokenizer",
        metavar="SPEC",
        help="Tokenizer: name, name:key=value,..., package.module:Object, or the file of a learned"
        " one, NAME.tok.json or MidiTok's tokenizer.json.",
    ),
]
LearnedOption = Annotated[
    str | None,
    Option(
        "--tokenizer",
        metavar="FILE",
        help="The learned vocabulary that the records name: NAME.tok.json, or MidiTok's"
        " tokenizer.json.",
    ),
]
ModelOption = Annotated[str | None, Option("--model", "-m", metavar="DIR", help="Model folder.")]
Device = Annotated[str, Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")]

NAME_FIELDS = """\
{n} is a running number ({n:03} pads it), {id} and {group} those of the record, {src} the name of
the source without folders and extension, and every other field a key of meta ({genre}, {title});
what a record does not have is "unknown". Values are cleaned: whatever a record says, nothing is
written outside the folder that -o names."""
"""What the fields in a name that -o gives stand for: a paragraph of manual pages."""
