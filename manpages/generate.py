"""Writes the manual pages: of the commands from their objects, the others from *.md beside this.

`generate.py` writes what changed; `generate.py --check` writes nothing and exits 1 where a page is
not what it would be. The pages have no dates, so that the same sources give the same pages.
"""

import importlib
import inspect
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roff import bold, escape, inline, render, tidy

import midigen
import midigen.cli
from midigen.cli._edge import Command
from midigen.registry import load

HERE = Path(__file__).parent
EXIT_STATUS = """
| code | meaning |
|---|---|
| 0 | All went well, though single items may have been rejected. |
| 1 | The data or the run failed; nothing accepted at all counts as that. |
| 2 | The command was called in a way that has no meaning. |
| 130 | Interrupted from the keyboard. |
"""
FILTER = "A reader of its output that goes away ends the command in silence, as the shell expects."


def command_names() -> list[str]:
    """Return the commands: the modules of midigen.cli that do not start with an underscore."""
    folder = Path(midigen.cli.__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load_command(name: str) -> Command:
    main = importlib.import_module(f"midigen.cli.{name}").main
    assert isinstance(main, Command)
    return main


def title(name: str, section: int, group: str) -> str:
    return f'.TH {name.upper()} {section} "" "midigen {midigen.__version__}" "{group}"\n'


def first_sentence(text: str) -> tuple[str, str]:
    """Split a help text into the line for NAME and the rest."""
    summary, _, rest = text.partition("\n\n")
    summary = " ".join(summary.split()).rstrip(".")
    return summary[0].lower() + summary[1:], rest


def command_page(command: Command) -> str:
    """Return the manual page of a command."""
    click = command.click()
    summary, description = first_sentence(click.help)
    page = [
        title(command.name, 1, "User Commands"),
        f".SH NAME\n{escape(command.name)} \\- {inline(summary)}\n",
        synopsis(command.name, click),
        render(f"# Description\n\n{description or click.help}"),
    ]
    if getattr(click, "commands", None):
        page.append(".SH COMMANDS\n")
        page += [subcommand(command.name, name, sub) for name, sub in click.commands.items()]
    page.append(".SH OPTIONS\n")
    page += [option(param) for param in shown(click)]
    page.append(f".TP\n{bold('-h')}, {bold('--help')}\nShow a shorter form of this and exit.\n")
    for heading, text in command.sections.items():
        page.append(render(f"# {heading}\n\n{text}"))
    if command.examples:
        page.append(".SH EXAMPLES\n")
        for example in command.examples:
            text = example.text[0].upper() + example.text[1:].rstrip(".:")
            page.append(render(f"{text}:\n\n    {example.line}"))
    page.append(render(f"# Exit status\n\n{EXIT_STATUS}"))
    if command.is_filter:
        page.append(render(FILTER))
    page.append(f".SH SEE ALSO\n{see_also(command)}\n")
    return tidy("".join(page))


def synopsis(name: str, click: Any) -> str:
    """Return the section that shows how the command is called."""
    what = [p.make_metavar(None) if p.metavar is None else p.metavar for p in arguments(click)]
    if getattr(click, "commands", None):
        what.append("COMMAND [ARG]...")
    words = " ".join(["[OPTION]...", *what])
    return f".SH SYNOPSIS\n{bold(name)} {escape(words)}\n"


def arguments(click: Any) -> list[Any]:
    return [param for param in click.params if param.param_type_name == "argument"]


def shown(click: Any) -> list[Any]:
    return [param for param in click.params if not getattr(param, "hidden", False)]


def option(param: Any) -> str:
    """Return the entry of an option or argument: its names, what it takes, help and default."""
    if param.param_type_name == "argument":
        return f".TP\n{escape(param.metavar or param.name.upper())}\n{inline(param.help or '')}\n"
    names = ", ".join(bold(name) for name in sorted(param.opts, key=len) + param.secondary_opts)
    if not param.is_flag:
        names += f" {escape(param.metavar or param.type.name.upper())}"
    text = (param.help or "").rstrip()
    limits = getattr(param.type, "_describe_range", None)
    notes = [limits().replace("x", param.metavar or "x", 1)] if limits else []
    if param.multiple:
        notes.append("may be repeated")
    if not param.is_flag and param.default not in (None, "", "-", ()) and param.show_default:
        notes.append(f"default: {param.default}")
    if notes:
        text = f"{text.rstrip('.')} ({'; '.join(notes)})."
    return f".TP\n{names}\n{inline(text)}\n"


def subcommand(command: str, name: str, click: Any) -> str:
    """Return the part of a page that describes one of a command's own commands."""
    words = [name, "[OPTION]...", *(p.metavar or p.name.upper() for p in arguments(click))]
    return f".SS {bold(command)} {escape(' '.join(words))}\n{render(click.help or '')}" + "".join(
        option(param) for param in shown(click) if "--help" not in param.opts
    )


def see_also(command: Command) -> str:
    """Return the other pages, by section and name."""
    sections = dict.fromkeys(command_names(), "1")
    sections |= {source.name[:-5]: source.name[-4] for source in texts()}
    unknown = set(command.see_also) - set(sections)
    if unknown:
        raise SystemExit(f"{command.name}: see_also names {', '.join(unknown)}: no such page")
    names = {*command.see_also, "midigen-record", "midigen"}
    ordered = sorted(names, key=lambda name: (sections[name], name))
    return ", ".join(f"{bold(name)}({sections[name]})" for name in ordered)


def texts() -> list[Path]:
    """Return the sources of the pages that are not a command's: ``NAME.SECTION.md``."""
    return sorted(HERE.glob("*.[57].md"))


def text_page(source: Path) -> str:
    """Return the page of a text: its first line is ``name: summary``.

    What stands in double braces is filled in: docstrings of modules, settings and presets of
    models.
    """
    name, _, section = source.stem.rpartition(".")
    first, _, text = source.read_text(encoding="utf-8").partition("\n")
    lines = []
    for line in text.splitlines():
        if line.startswith("{{docstring "):
            module = importlib.import_module(line.split()[1].rstrip("}"))
            quoted = inspect.getdoc(module) or ""
            # Its headings are parts of the page's.
            lines.append(re.sub(r"^# ", "## ", quoted.partition("\n\n")[2], flags=re.MULTILINE))
        elif line.startswith(("{{settings ", "{{presets ")):
            what, model = line.strip("{}").split()
            lines.append({"settings": settings, "presets": presets}[what](model))
        else:
            lines.append(line)
    group = {"5": "File Formats", "7": "Miscellaneous Information"}[section]
    summary = first.partition(": ")[2]
    head = title(name, int(section), group) + f".SH NAME\n{escape(name)} \\- {inline(summary)}\n"
    return tidy(head + render("\n".join(lines)))


def settings(model: str) -> str:
    """Return what a model can be told, and its defaults as a spec."""
    config = load("models", model).Config
    words = " ".join((inspect.getdoc(config) or "").split())
    return f"{words} The defaults:\n\n    {model}:{as_spec(config(), {})}"


def presets(model: str) -> str:
    """Return a model's presets as a table: what is not the default of a setting."""
    plugin = load("models", model)
    defaults = asdict(plugin.Config())
    rows = [f"| {name} | {as_spec(config, defaults)} |" for name, config in plugin.PRESETS.items()]
    return "\n".join(["| preset | settings |", "|---|---|", *rows])


def as_spec(config: Any, but: dict[str, Any]) -> str:
    """Return settings as a spec has them, without those that are as in `but`."""
    told = {key: value for key, value in asdict(config).items() if but.get(key) != value}
    given = (f"{key}={int(v) if isinstance(v, bool) else f'{v:g}'}" for key, v in told.items())
    return ",".join(given) or "The defaults."


def pages() -> dict[str, str]:
    """Return all pages by file name."""
    commands = {f"{name}.1": command_page(load_command(name)) for name in command_names()}
    return commands | {source.stem: text_page(source) for source in texts()}


def main(args: list[str]) -> int:
    """Write the pages, or check them."""
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.[157]")}
    changed = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
    for name in changed:
        if "--check" in args:
            print(f"manpages/{name} is not what its source gives; run make man", file=sys.stderr)
        elif name in wanted:
            (HERE / name).write_text(wanted[name], encoding="utf-8")
        else:
            (HERE / name).unlink()
    return 1 if changed and "--check" in args else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
