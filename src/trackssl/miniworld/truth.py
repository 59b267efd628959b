"""Whether two patches of a drawn video show the same object."""

from collections.abc import Mapping

from trackssl.miniworld.videos import FrameTruth
from trackssl.pairs.store import Box

MAIN_SHARE = 0.5  # of the largest area in the first patch, from which on an object counts
KEPT_SHARE = 0.5  # of the part of it that the first patch shows: what the last must show too


def shows_the_same(first: FrameTruth, first_box: Box, last: FrameTruth, last_box: Box) -> bool:
    """Whether one of the main objects of the first patch is in the last, at least half as complete.

    Boxes are x, y, w, h in pixels of the drawn frame. Objects are taken as their boxes.
    """
    before, after = _shown(first, first_box), _shown(last, last_box)
    largest = max((area for area, _ in before.values()), default=0.0)
    main = {name: part for name, (area, part) in before.items() if area >= MAIN_SHARE * largest > 0}
    return any(name in after and after[name][1] >= KEPT_SHARE * main[name] for name in main)


def main_object(truth: FrameTruth, box: Box) -> str | None:
    """The name of what covers most of a box (x, y, w, h), its class or what passes in front."""
    shown = _shown(truth, box)
    if not shown:
        return None
    largest = max(shown, key=lambda name: shown[name][0])
    return next(item.name for item in truth.objects if item.id == largest)


def _shown(truth: FrameTruth, box: Box) -> Mapping[str, tuple[float, float]]:
    """Of each object whose id is given: its area within a box, and the share of it that this is."""
    x, y, w, h = box
    found = {}
    for item in truth.objects:
        x0, y0, x1, y1 = item.box
        wide, high = min(x + w, x1) - max(x, x0), min(y + h, y1) - max(y, y0)
        if wide > 0 and high > 0:
            found[item.id] = (wide * high, wide * high / ((x1 - x0) * (y1 - y0)))
    return found
