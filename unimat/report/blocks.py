"""What a section of the page is made of; the template draws one kind after the other."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from markupsafe import Markup
from matplotlib.figure import Figure as MatplotlibFigure

from unimat.report.best import BestCrystal
from unimat.report.svg import inline_figure


@dataclasses.dataclass(frozen=True)
class Text:
    """One paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclasses.dataclass(frozen=True)
class Missing:
    """A part that the run does not have, and the stage that makes it.

    Attributes:
        partial: other sets of the run have it.
    """

    text: str
    partial: bool = False
    kind: ClassVar[str] = "missing"


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and values; a value may be a link (`text`, `address`)."""

    rows: Sequence[tuple[str, str | tuple[str, str]]]
    kind: ClassVar[str] = "facts"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; columns from the second on are numbers unless named in `text_columns`."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: tuple[int, ...] = (0,)
    kind: ClassVar[str] = "table"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawn figure with its caption."""

    markup: Markup
    caption: str
    half: bool = False
    kind: ClassVar[str] = "figure"


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list; each item a heading and a sentence or two."""

    items: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "bullets"


@dataclasses.dataclass(frozen=True)
class Code:
    """Preformatted text, folded away when it is long."""

    title: str
    text: str
    folded: bool = True
    kind: ClassVar[str] = "code"


@dataclasses.dataclass(frozen=True)
class Card:
    """One crystal of the gallery: its picture, facts and CIF."""

    crystal: BestCrystal
    formula: str
    picture: Markup
    legend: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "card"


@dataclasses.dataclass(frozen=True)
class Gallery:
    cards: Sequence[Card]
    kind: ClassVar[str] = "gallery"


@dataclasses.dataclass(frozen=True)
class CrystalBrowser:
    """The table of crystals with its 3D view.

    Attributes:
        rows, geometry: as `unimat.report.payload.packed` packs them.
        caption: what the set is and how many of its crystals are listed.
    """

    rows: str
    geometry: str
    caption: str
    kind: ClassVar[str] = "browser"


@dataclasses.dataclass(frozen=True)
class Pictured:
    """A crystal as it is drawn: its picture and the colours of its elements."""

    picture: Markup
    legend: Sequence[tuple[str, str]]
    caption: str


@dataclasses.dataclass(frozen=True)
class Candidate(Pictured):
    """A predicted crystal.

    Attributes:
        origin: where it comes from, in a sentence.
        template: crystal that elements were exchanged in; `moves` drawn on the periodic table, and `moved` in words.
    """

    material_id: str
    rank: int
    spacegroup: str
    origin: str
    facts: Sequence[tuple[str, str]]
    cif_uri: str
    template: Pictured | None = None
    moves: Markup | None = None
    moved: str = ""


@dataclasses.dataclass(frozen=True)
class Candidates:
    cards: Sequence[Candidate]
    kind: ClassVar[str] = "candidates"


@dataclasses.dataclass(frozen=True)
class CrystalView:
    """The view of the crystals of a page in three dimensions, which links open.

    Attributes:
        rows, geometry: as `unimat.report.payload.packed` packs them.
    """

    rows: str
    geometry: str
    kind: ClassVar[str] = "view"


Block = Text | Missing | Facts | Table | Figure | Bullets | Code | Gallery | CrystalBrowser | Candidates | CrystalView


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        figures: by file name without ending, what `--figures` writes.
    """

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]
    figures: dict[str, MatplotlibFigure] = dataclasses.field(default_factory=dict)


def drawn(figure: MatplotlibFigure, name: str, label: str, caption: str, half: bool = False) -> Figure:
    """Block of a matplotlib figure; `label` is read to those who cannot see it."""
    return Figure(inline_figure(figure, name, label), caption, half)
