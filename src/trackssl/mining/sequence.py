"""Tracking through a folder of images, the way benchmarks store their sequences."""

from pathlib import Path

from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.mining.kcf import Tracker
from trackssl.pairs.store import Box

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def track_images(folder: Path, box: Box) -> list[Box]:
    """A box for each image of a folder, in order of names; the last one while the target is lost.

    Raises InputError when the folder holds no image or the box does not lie in the first one.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: this folder holds no image; check the path.")
    first = read_image(paths[0])
    height, width = first.shape[:2]
    x, y, w, h = box
    if min(w, h) < 1 or min(x + w, width) - max(x, 0) < 1 or min(y + h, height) - max(y, 0) < 1:
        raise InputError(f"--box {box}: it does not lie in {paths[0]} ({width} x {height} px).")
    tracker, boxes = Tracker(first, box), [box]
    for path in paths[1:]:
        found = tracker.update(read_image(path))
        boxes.append(found[0] if found else boxes[-1])
    return boxes


def parse_box(text: str) -> Box:
    """Read `x,y,w,h`. Raises InputError."""
    try:
        x, y, w, h = (float(value) for value in text.split(","))
    except ValueError:
        raise InputError(f"--box '{text}' is no box; give x,y,w,h in pixels.") from None
    return x, y, w, h
