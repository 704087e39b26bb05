"""tok2tok: records from one representation to another."""

from typing import Annotated

from midigen.cli._edge import (
    Command,
    Example,
    Force,
    Inputs,
    ModelOption,
    Option,
    Output,
    RejectsFile,
    Run,
    TokenizerOption,
)

WHAT_STAYS = """\
id, group, src, md5, meta, aug, gen and keys that midigen does not know stay; n too: it counts the
score that was first read, so that losses per note of all representations have one denominator.
Where the source has a record for each track, consecutive parts are joined (n adds up) and the other
keys are those of the first; where the target has, there is a record for each track: its n is that
of the part it comes from, if their number is the same, and else measured on the decoded track.

What a vocabulary cannot hold is gone: midigen-tokenizers(7) has a table. What the target could not
hold is counted in the summary and named in meta.lossy, beside what was lost before. What had to be
repaired in decoding is counted by kind, as by tok2midi."""

REJECTS = """\
A record is not used, and the others go on, for one of these reasons: json, record (it is none),
tokenizer (that of the record is not to be had, or reads text; or the target refuses the piece), ids
(not of its vocabulary), no_notes (nothing in it sounds, or nothing that the target's vocabulary
has), lossy (with --strict), crash and error (with -j: its worker died, or a bug)."""


def tok2tok(
    run: Run,
    files: Inputs = None,
    tokenizer: TokenizerOption = None,
    model: ModelOption = None,
    source: Annotated[
        str | None,
        Option(
            "--from",
            metavar="FILE",
            help="The learned vocabulary that the records name: NAME.tok.json, or MidiTok's"
            " tokenizer.json.",
        ),
    ] = None,
    jobs: Annotated[
        int, Option("--jobs", "-j", metavar="N", min=1, help="Number of worker processes.")
    ] = 1,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Stop at the first reject with exit code 1; what the vocabulary cannot hold as a"
            " whole is one.",
        ),
    ] = False,
) -> None:
    """Turn records of one tokenizer into records of another.

    Each piece is decoded by the tokenizer that its record names, and encoded by that of
    --tokenizer, or by that of the model that -m names.
    """
    from midigen.decoding import Tokenizers
    from midigen.rewriting import Rewriter, rewrite
    from midigen.transcription import Transcription

    rewriter = Rewriter(Transcription(tokenizer, model), Tokenizers(source), strict)
    rewrite(
        run,
        files,
        rewriter,
        jobs=jobs,
        output=output,
        force=force,
        rejects=rejects,
        strict=strict,
    )


main = Command(
    tok2tok,
    examples=(
        Example(
            "as MidiTok's default vocabulary has it",
            "tok2tok --tokenizer remi:programs=0,tempos=0,ts=miditok tokens.jsonl > plain.jsonl",
        ),
        Example(
            "for a model that reads another vocabulary",
            "tok2tok -m my.model tokens.jsonl | tokeval -m my.model",
        ),
    ),
    sections={"WHAT STAYS": WHAT_STAYS, "REJECTS": REJECTS},
    see_also=("midi2tok", "tok2midi", "tokcut", "midigen-record", "midigen-tokenizers"),
)
