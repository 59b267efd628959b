"""Drawings as SVG that take the page's colours and letters, at the width of a desktop and a phone.

matplotlib draws with one colour for each role; in the file that colour becomes a CSS variable, so a
drawing follows the page from light to dark.
"""

import io
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trackssl.report.page.blocks import Chart

INK, QUIET, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
LINES = ("#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05", "#0a0a06")
ACCENT = LINES[0]
STYLES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (7, 2, 1.5, 2)), "-", (0, (3, 1.5)))
WIDE_PX, NARROW_PX = 960, 343

_VARIABLES = {INK: "ink", QUIET: "quiet", GRID: "grid", PAPER: "paper"} | {
    colour: f"line{number}" for number, colour in enumerate(LINES, start=1)
}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trackssl",
    "svg.image_inline": True,
    "text.parse_math": False,  # a file's name may hold a dollar
    "font.size": 13,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": GRID,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.frameon": False,
    "legend.fontsize": 12.5,
    "lines.linewidth": 1.8,
}
_LABEL_PX = 22

Plot = Callable[[Figure, bool], None]


def draw(
    name: str,
    plot: Plot,
    heights: tuple[float, float],
    label: str,
    *,
    alt: str,
    title: str,
    caption: str = "",
) -> Chart:
    """Draw a chart twice, `plot(figure, narrow)`; `heights` in px of the wide and the narrow one.

    `name` makes the drawing's ids its own; `label` is written into the picture, at its foot.
    """
    wide, narrow = (
        _svg(f"{name}-{kind}", plot, kind == "narrow", (width, height), label)
        for kind, width, height in (
            ("wide", WIDE_PX, heights[0]),
            ("narrow", NARROW_PX, heights[1]),
        )
    )
    return Chart(wide, narrow, alt, title, caption)


def _svg(name: str, plot: Plot, narrow: bool, size: tuple[float, float], label: str) -> str:
    height = size[1] + (_LABEL_PX if label else 0)
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]
        figure = Figure((size[0] / 72, height / 72), dpi=72, layout="constrained")
        plot(figure, narrow)
        if label:
            low = _LABEL_PX / height
            figure.get_layout_engine().set(rect=(0, low, 1, 1 - low))  # type: ignore[union-attr,call-arg]
            figure.text(0.995, 0.01, label, ha="right", va="bottom", size=11, color=QUIET)
        file = io.StringIO()
        empty = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", metadata=empty)
    return _themed(file.getvalue(), name)


def _themed(text: str, name: str) -> str:
    """The <svg> element alone, with the page's colours and letters and ids of its own."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>',
        r'<svg viewBox="\1" xmlns:xlink="http://www.w3.org/1999/xlink" aria-hidden="true" '
        r'focusable="false">',
        text,
        count=1,
    )
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    numbered: dict[str, str] = {}  # matplotlib's own change from run to run

    def renamed(found: re.Match[str]) -> str:
        if found[2] not in used:
            return ""
        numbered.setdefault(found[2], f"{name}-{len(numbered)}")
        return found[1] + numbered[found[2]] + found[3]

    text = re.sub(r'( id=")([^"]*)(")', renamed, text)
    text = re.sub(r'(url\(#|href="#)([^)"]+)()', renamed, text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    return re.sub(r"\n\s*", "\n", text)


def bare(axes: Axes, keep: str = "") -> None:
    """Take the frame and the ticks' marks away; `keep` names the sides that stay."""
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(side in keep)
    axes.tick_params(length=0)


def style(number: int) -> dict[str, object]:
    """Colour and dashes of the n-th line: told apart without colours too."""
    return {
        "color": LINES[number % len(LINES)],
        "linestyle": STYLES[number % len(STYLES)],
    }


def thinned(values: Sequence[float], most: int = 300) -> list[float]:
    """Means of as many equal stretches as are shown at most, so a long log is a short line."""
    if len(values) <= most:
        return list(values)
    edges = [round(i * len(values) / most) for i in range(most + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
