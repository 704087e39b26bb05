"""`midigen`: about the installation itself, recipes, and vocabularies learned from data."""

from typing import Annotated

from midigen.cli._edge import (
    Argument,
    CommandGroup,
    Example,
    FilesFrom,
    Force,
    Jobs,
    MidiInputs,
    ModelOption,
    Null,
    Option,
    Output,
    RejectsFile,
    Run,
    Strict,
    Timeout,
)

Json = Annotated[bool, Option("--json", help="As JSON Lines.")]


def plugins(run: Run, json: Json = False) -> None:
    """List the installed plugins.

    Group, name, version, and the package and object that each comes from. Loads none of them.
    """
    from midigen.doctor import list_plugins, table

    found = list_plugins()
    if json:
        from midigen.jsonl import RecordWriter

        with run.output() as out:
            writer = RecordWriter(out)
            for plugin in found:
                writer.write(plugin)
    else:
        for line in table(found):
            print(line)


def doctor(run: Run, model: ModelOption = None) -> None:
    """Show what is installed and what works.

    Loads every plugin, and exits with 1 if one does not load. With -m it also shows what a model
    reads and knows, with counts of pieces.
    """
    from midigen.doctor import describe_model, examine

    faults = 0
    for line, is_fault in examine():
        print(line)
        faults += is_fault
    if model is not None:
        print()
        for line in describe_model(model):
            print(line)
    if faults:
        run.exit_code = 1


def learn(
    run: Run,
    tokenizer: Annotated[
        str,
        Option(
            "--tokenizer",
            metavar="SPEC",
            help="What is learned, and how: pitch:chords=sets, pitch:chords=classes,step=16 ...",
        ),
    ],
    files: MidiInputs = None,
    files_from: FilesFrom = None,
    null: Null = False,
    least: Annotated[
        int, Option(metavar="N", min=1, help="Leave out what occurs less than N times.")
    ] = 2,
    most: Annotated[
        int | None, Option(metavar="N", min=1, help="Take the N most frequent at most.")
    ] = None,
    shift: Annotated[
        int,
        Option(
            metavar="N",
            min=0,
            max=127,
            help="Take in transpositions by up to N semitones, as tokaug --shift N will need them;"
            " what differs by a transposition counts together.",
        ),
    ] = 0,
    jobs: Jobs = None,
    timeout: Timeout = 60.0,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Learn a vocabulary from MIDI files and write it as JSON.

    Call the file NAME.tok.json: midi2tok takes it as --tokenizer, models keep a copy of it, and
    records find it in the folder where a command runs.
    """
    from midigen.learning import learn
    from midigen.sources import Inputs

    learn(
        run,
        Inputs(files or (), files_from, null),
        tokenizer,
        least=least,
        most=most,
        shift=shift,
        jobs=jobs,
        timeout=timeout,
        output=output,
        force=force,
        rejects=rejects,
        strict=strict,
    )


def recipes(
    run: Run,
    name: Annotated[
        str | None, Argument(metavar="[NAME]", help="Show this recipe as commands for the shell.")
    ] = None,
    folder: Annotated[
        str, Argument(metavar="[FOLDER]", help="The MIDI files, and tables, that are read.")
    ] = "midi",
    output: Annotated[
        str | None,
        Option("--output", "-o", metavar="DIR", help="Where the results go; without it NAME.run."),
    ] = None,
    minutes: Annotated[
        float | None, Option(metavar="X", min=0.01, help="Train so long instead of the recipe's.")
    ] = None,
    labelers: Annotated[
        list[str] | None,
        Option(
            "--from",
            metavar="SPEC",
            help="A labeler instead of the recipe's (toklabel); its file is in FOLDER. Several.",
        ),
    ] = None,
    sample: Annotated[
        str | None,
        Option(metavar="OPTIONS", help="Sample so instead: '--genre jazz --year 1955'."),
    ] = None,
    execute: Annotated[bool, Option("--run", help="Run the commands.")] = False,
    json: Json = False,
) -> None:
    """List whole experiments, show one as commands, or run it: from MIDI files to a sample.

    A recipe sets tokenizer, model, windows, optimiser, schedule and stopping, as published systems
    had them. Options of "toktrain --recipe NAME" change what it sets.
    """
    from midigen.doctor import table
    from midigen.recipes import execute as run_script
    from midigen.recipes import list_recipes, read_recipe

    if name is None:
        if json:
            from midigen.jsonl import RecordWriter

            with run.output() as out:
                writer = RecordWriter(out)
                for found in list_recipes():
                    writer.write(found)
            return
        for line in table(list_recipes()):
            print(line)
        return
    length = f"--minutes {minutes:g}" if minutes is not None else ""
    script = read_recipe(name).script(folder, output or f"{name}.run", length, labelers, sample)
    if execute:
        run.message(f"{name}:\n{script}")
        run.exit_code = run_script(script)
    else:
        print(script, end="")


main = CommandGroup(
    "midigen",
    "About the installation, its plugins and models; whole experiments; learned vocabularies.",
    [plugins, doctor, recipes, learn],
    examples=(
        Example("the installed plugins as JSON Lines", "midigen plugins --json"),
        Example("what is installed, and whether it works", "midigen doctor"),
        Example(
            "a vocabulary of the chords in a folder, for LSTMs and others that read pitch strings",
            "midigen learn --tokenizer pitch:chords=sets -o chords.tok.json tunes",
        ),
        Example("the commands of a whole experiment", "midigen recipes lstm tunes -o lstm.run"),
        Example(
            "a model asked by genre, artist and era, from Lakh's folders with other table names",
            "midigen recipes conditioned lakh --from lmd:match_scores.json --from msd:h5"
            " --from tagtraum:genres.cls --sample '--genre jazz --year 1955'",
        ),
    ),
    see_also=("midi2tok", "toktrain", "toksample"),
)
