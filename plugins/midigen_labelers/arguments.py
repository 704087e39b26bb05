"""The argument of a labeler: a file, and perhaps options behind it."""

import re
from collections.abc import Mapping

from midigen.errors import MidigenError, UsageError


def read_argument(
    labeler: str, arg: str, options: Mapping[str, float] | None = None
) -> tuple[str, dict[str, float]]:
    """Return the file in ``FILE,key=value``, and every option, at its default if not given.

    Only the known options are split off: a file may be called what it likes. Raises UsageError for
    a value that is not a number from 0 on.
    """
    values = dict(options or {})
    names = "|".join(values)
    while names and (match := re.search(rf",({names})=([^,]*)\Z", arg)):
        key, text = match.groups()
        arg = arg[: match.start()]
        try:
            values[key] = float(text)
        except ValueError as error:
            raise UsageError(f"{labeler}: {key}={text} is not a number") from error
        if not values[key] >= 0:
            raise UsageError(f"{labeler}: {key}={text} is not 0 or more")
    return arg, values


def need_file(labeler: str, arg: str, example: str) -> str:
    """Return `arg`. Raises MidigenError if it is empty."""
    if not arg:
        raise MidigenError(f"{labeler}: needs a file, as in {labeler}:{example}")
    return arg
