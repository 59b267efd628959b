"""A map of patches: near each other where their features are, by t-SNE, drawn with the patches."""

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.explore.neighbours import AFTER, BEFORE
from trackssl.explore.patches import Patches
from trackssl.images import Image
from trackssl.lettering import Colour, write_text_on
from trackssl.pretraining.embed import Features
from trackssl.retrieval.search import unit_rows

Places = NDArray[np.float64]  # (N, 2), each axis from 0 to 1

SIDE_PX, THUMB_PX, FRAME_PX, MARGIN_PX, HEAD_PX = 760, 42, 2, 20, 64
TITLE_PX, TEXT_PX, DOT_PX = 15, 11, 3
INK, PAPER, GROUND = (70, 60, 55), (255, 255, 255), (246, 246, 246)
_PERPLEXITY = 30.0


def place_on_map(features: Features, seed: int) -> Places:
    """Two coordinates of each of N features (N, D) by t-SNE on unit features; one thread, so that
    equal input gives equal places.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(features)
    if count < 4:  # too few for any neighbourhood
        return np.column_stack([np.linspace(0, 1, count), np.full(count, 0.5)])
    embedding = TSNE(
        perplexity=min(_PERPLEXITY, (count - 1) / 3), init="pca", random_state=seed, n_jobs=1
    )
    with threadpool_limits(1):
        places = embedding.fit_transform(unit_rows(features)).astype(np.float64)
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    return (places - low) / np.where(span > 0, span, 1)


def draw_map(
    patches: Patches, after: Places, before: Places, layer: str
) -> tuple[Image, list[bool]]:
    """Both maps side by side -> (H, W, 3) BGR, and of which pairs the patch is drawn on the first.

    A frame's colour tells the video. Where patches would cover each other, a dot is drawn for the
    later one.
    """
    colours = video_colours(patches.videos)
    shape = (HEAD_PX + SIDE_PX + MARGIN_PX, 2 * SIDE_PX + 3 * MARGIN_PX, 3)
    sheet = np.full(shape, PAPER, np.uint8)
    title = f"Map of tracked patches ({layer}, t-SNE); the colour of a frame tells the video"
    write_text_on(sheet, (MARGIN_PX, MARGIN_PX + 8), title, INK, TITLE_PX, bold=True)
    drawn = []
    for number, (places, words) in enumerate(((after, AFTER), (before, BEFORE))):
        x = MARGIN_PX + number * (SIDE_PX + MARGIN_PX)
        write_text_on(sheet, (x, HEAD_PX - 8), words, INK, TEXT_PX)
        panel = sheet[HEAD_PX : HEAD_PX + SIDE_PX, x : x + SIDE_PX]
        panel[:] = GROUND
        drawn.append(_draw_panel(panel, patches.first, places, colours))
    return sheet, drawn[0]


def video_colours(videos: NDArray[np.str_]) -> list[Colour]:
    """A colour of each row's video, BGR: hues a golden ratio apart, three lightnesses."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(map(str, videos)))}
    colours = []
    for number in range(len(numbers)):
        light = (0.45, 0.6, 0.32)[number % 3]
        red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, light, 0.75)
        colours.append((round(255 * blue), round(255 * green), round(255 * red)))
    return [colours[numbers[str(video)]] for video in videos]


def _draw_panel(panel: Image, images: Image, places: Places, colours: list[Colour]) -> list[bool]:
    outer = THUMB_PX + 2 * FRAME_PX
    corners = np.rint(places * (SIDE_PX - outer)).astype(int)  # (N, 2) x, y
    taken = np.empty((0, 2), int)
    shown = []
    for corner in corners:
        shown.append(not (np.abs(taken - corner) < 0.8 * outer).all(axis=1).any())
        if shown[-1]:
            taken = np.vstack([taken, corner])
    for is_thumb in (False, True):  # dots lie below
        for (x, y), image, colour, is_shown in zip(corners, images, colours, shown, strict=True):
            if is_shown and is_thumb:
                panel[y : y + outer, x : x + outer] = colour
                small = cv2.resize(image, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
                inside = slice(FRAME_PX, outer - FRAME_PX)
                panel[y : y + outer, x : x + outer][inside, inside] = small
            elif not is_shown and not is_thumb:
                middle = (int(x) + outer // 2, int(y) + outer // 2)
                cv2.circle(panel, middle, DOT_PX, colour, cv2.FILLED, cv2.LINE_AA)
    return shown
