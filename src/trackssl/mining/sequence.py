"""Tracking through a folder of images, the way benchmarks store their sequences."""

from pathlib import Path

from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.mining.kcf import Features, Tracker
from trackssl.pairs.store import Box

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

MIN_SIDE_PX = 32


def track_images(folder: Path, box: Box) -> list[Box]:
    """A box for each image of a folder, in order of names.

    Raises InputError when the folder holds no image or the box does not lie in the first one.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: this folder holds no image; check the path.")
    first = read_image(paths[0], grey=True)
    height, width = first.shape
    x, y, w, h = box
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(f"{paths[0]}: {width} x {height} px are too few to track anything in.")
    if min(w, h) < 1 or min(x + w, width) - max(x, 0) < 1 or min(y + h, height) - max(y, 0) < 1:
        raise InputError(f"--box {box}: it does not lie in {paths[0]} ({width} x {height} px).")
    tracker = Tracker(Features(first), box)
    later = (Features(read_image(path, grey=True)) for path in paths[1:])
    return [box, *(tracker.update(features).box for features in later)]


def parse_box(text: str) -> Box:
    """Read `x,y,w,h`. Raises InputError."""
    try:
        x, y, w, h = (float(value) for value in text.split(","))
    except ValueError:
        raise InputError(f"--box '{text}' is no box; give x,y,w,h in pixels.") from None
    return x, y, w, h
