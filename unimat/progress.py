"""Progress bars: tqdm's where it is installed; a bare image of an accelerator may lack it, and then there are none."""

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["tqdm"]


class Silent:
    """What is used of tqdm, without a bar."""

    def __init__(self, iterable: Iterable[Any] = (), *_: Any, **__: Any):
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable)

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        pass

    def set_postfix(self, **_: Any) -> None:
        pass


try:
    from tqdm import tqdm
except ModuleNotFoundError:
    tqdm = Silent  # type: ignore[assignment, misc]
