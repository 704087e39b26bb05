"""The options that several commands share: the same flag means the same thing everywhere."""

from typing import Annotated

from typer import Argument, Option

Inputs = Annotated[
    list[str] | None,
    Argument(metavar="[FILE]...", help="Record files, plain, gzip or zstd; - or none: stdin."),
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
