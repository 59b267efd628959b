"""What a section is made of: the template knows how each kind looks."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Figures:
    """A few numbers in large letters, each with what it is."""

    rows: Sequence[tuple[str, str]]
    kind: str = "figures"


@dataclass(frozen=True)
class Facts:
    """Names and values, in two columns."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG at the width of a desktop and of a phone; `alt` says what is seen."""

    wide: str
    narrow: str
    alt: str
    title: str
    caption: str = ""
    kind: str = "chart"


@dataclass(frozen=True)
class Picture:
    """One image as a data URI, at most `width_px` wide; a broad one is scrolled on a phone."""

    uri: str
    width_px: int
    height_px: int
    alt: str
    title: str
    caption: str = ""
    label: str = ""
    broad: bool = False
    link: str = ""
    kind: str = "picture"


@dataclass(frozen=True)
class Tile:
    """Images side by side with a line below, such as the two patches of a pair."""

    uris: Sequence[str]
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """A sheet of small images that finds its own columns; `alt` says what is seen as a whole."""

    tiles: Sequence[Tile]
    alt: str
    title: str
    caption: str = ""
    label: str = ""
    min_px: int = 150
    kind: str = "tiles"


@dataclass(frozen=True)
class Cell:
    """A table's cell: its text, what it is sorted by, and how dark its ground is, 0..1."""

    text: str
    value: float | str
    shade: float = 0.0


@dataclass(frozen=True)
class Table:
    """A table whose columns can be sorted; `link` leads to its CSV, `folded` hides it at first."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    link: str = ""
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading, `short` in the list of parts.

    `absent` says why there is nothing to show, where that is so: the sentence takes its place.
    """

    id: str
    short: str
    title: str
    blocks: Sequence[object] = field(default_factory=tuple)
    absent: str = ""


def cell(value: float | str, text: str | None = None, shade: float = 0.0) -> Cell:
    """A cell; text stands for itself, and of a number its own digits where no text is given."""
    shown = text if text is not None else value if isinstance(value, str) else f"{value:g}"
    return Cell(str(shown), value, shade)
