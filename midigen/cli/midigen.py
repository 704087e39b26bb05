"""`midigen`: about the installation itself."""

from typing import Annotated

from typer import Option

from midigen.cli._edge import CommandGroup, Example, ModelOption, Run

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


main = CommandGroup(
    "midigen",
    "About the installation: its plugins, its health, its models.",
    [plugins, doctor],
    examples=(
        Example("the installed plugins as JSON Lines", "midigen plugins --json"),
        Example("what is installed, and whether it works", "midigen doctor"),
    ),
    see_also=("midi2tok", "toktrain", "toksample"),
)
