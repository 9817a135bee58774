"""What a folder or an archive holds and is not read: counted, and said with its reason."""

import logging
from collections.abc import Sequence

_NAMED = 3  # names of each reason in the one line


class PassedOver:
    """Counts what is passed over in one source, by reason."""

    def __init__(self, source: str):
        self._source = source
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, reason: str) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + 1
        named = self._names.setdefault(reason, [])
        if len(named) < _NAMED:
            named.append(name)

    def tell(self) -> None:
        """Say it in one line of the log, if there is anything to say."""
        total = sum(self._counts.values())
        if total:
            parts = [_part(self._names[reason], count, reason) for reason, count in self._counts.items()]
            what = "1 file or folder was" if total == 1 else f"{total} files or folders were"
            message = f"{self._source}: {what} passed over: {'; '.join(parts)}"
            logging.getLogger("unimat.readers").warning("%s", " ".join(message.split()))


def _part(names: Sequence[str], count: int, reason: str) -> str:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return f"{', '.join(names)}{more} ({reason})"
