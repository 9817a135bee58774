"""One line of what `unimat doctor` says, for both halves of the package."""

import dataclasses

from unimat.errors import UserError


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        remedy: what to do about a problem; None: all is well; empty: `text` is a whole line that says so.
    """

    name: str
    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        if self.remedy is None:
            return f"ok       {self.name}: {self.text}"
        if not self.remedy:
            return f"problem  {self.text}"
        return f"problem  {self.name}: {self.text}; remedy: {self.remedy}"


def problem(name: str, error: UserError) -> Finding:
    """The finding of an error, whose line ends with the remedy."""
    text, _, remedy = str(error).rpartition("; ")
    return Finding(name, text, remedy) if text else Finding(name, remedy, "check the settings")
