"""The errors that cross module borders. The command wrapper alone prints them and exits."""


class MidigenError(Exception):
    """A fact, a limit and a remedy, in one line that the user can act on. Exit code 1."""

    exit_code = 1


class UsageError(MidigenError):
    """The command was called in a way that cannot mean anything. Exit code 2."""

    exit_code = 2


class DataError(MidigenError):
    """Something is wrong with the data at `where` (``file:line`` or a path)."""

    def __init__(self, where: str, fact: str) -> None:
        super().__init__(f"{where}: {fact}" if where else fact)
        self.where = where
        self.fact = fact


class Reject(Exception):
    """One item cannot be used; the batch goes on.

    `reason` comes from a closed list of short words (it is counted in summaries); `detail` says
    what was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Reject"], tuple[str, str]]:
        return Reject, (self.reason, self.detail)
