"""A VOCdevkit of the built-in world: images, annotations and lists as PASCAL VOC has them."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.files import whole_file, write_text
from trackssl.images import Image, encode_jpeg
from trackssl.miniworld.backgrounds import draw_background
from trackssl.miniworld.light import Ambient
from trackssl.miniworld.motion import Path as Way
from trackssl.miniworld.motion import Wave
from trackssl.miniworld.objects import CLASSES, FACING_RIGHT, FOREGROUND, draw_object
from trackssl.miniworld.plans import cast, draw_class
from trackssl.miniworld.scenes import Actor, paint, visible_box
from trackssl.randomness import generator

HEIGHT, WIDTH = 200, 300
_FIRST_NUMBER = {"train": 1, "val": 500_001}  # so that more training images change no test image
_DIFFICULT_BELOW = 0.5  # of an object's pixels visible
_LEFT_OUT_BELOW = 0.12


@dataclass(frozen=True)
class Annotation:
    """One object of an image; `box`: VOC's xmin, ymin, xmax, ymax (from 1, last included)."""

    name: str
    box: tuple[int, int, int, int]
    pose: str
    truncated: bool
    occluded: bool
    difficult: bool


def render_devkit(folder: Path, year: int, train_images: int, test_images: int, seed: int) -> None:
    """Write `folder/VOC{year}` with lists `train` (training images), `val` (test) and `trainval`.

    Each image depends on the seed and its own number alone. The lists come last, so a devkit that
    has them is whole.
    """
    root = folder / f"VOC{year}"
    counts = {"train": train_images, "val": test_images}
    members: dict[str, list[tuple[str, list[Annotation]]]] = {}
    for split, count in counts.items():
        members[split] = []
        for number in range(_FIRST_NUMBER[split], _FIRST_NUMBER[split] + count):
            image, objects = draw_image(seed, split, number - _FIRST_NUMBER[split])
            name = f"{year}_{number:06d}"
            with whole_file(root / "JPEGImages" / f"{name}.jpg") as part:
                part.write_bytes(encode_jpeg(image, 92))
            write_text(root / "Annotations" / f"{name}.xml", annotation_xml(year, name, objects))
            members[split].append((name, objects))
    _write_lists(root / "ImageSets" / "Main", members)


def draw_image(seed: int, split: str, index: int) -> tuple[Image, list[Annotation]]:
    """Image `index` of a split, (200, 300, 3) uint8 BGR, and its objects from back to front."""
    rng = generator(seed, "voc", split, index)
    image = draw_background(rng, HEIGHT, WIDTH)
    actors = _actors(rng, seed, split, index)
    owner = np.full((HEIGHT, WIDTH), -1)
    pixels = []
    for k, actor in enumerate(actors):
        sprite = draw_object(actor.name, actor.individual, rng.uniform(0, 2 * np.pi))
        homography = actor.pose(0).homography()
        window, alpha = paint(image, sprite, homography, actor.light.ramp(0))
        owner[window][alpha > 127] = k
        inside = visible_box(homography, sprite, HEIGHT, WIDTH)[1]
        pixels.append((int((alpha > 127).sum()), inside))
    cv2.LUT(image, Ambient.drawn(rng, 1).ramp(0), image)
    found = (_annotate(actors[k], owner == k, *pixels[k]) for k in range(len(actors)))
    return image, [objects for objects in found if objects is not None]


def _actors(rng: np.random.Generator, seed: int, split: str, index: int) -> list[Actor]:
    """One to four objects, apart where there is room, and what hangs in front of them."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.22, 0.13]))
    lead = draw_class(seed, f"voc {split}", index)
    key = f"{seed}/voc/{split}/{index}"
    names = [lead, *map(str, rng.choice(CLASSES, count - 1))]
    largest = {1: 75, 2: 68, 3: 58, 4: 50}[count]
    actors: list[Actor] = []
    leaves = []
    for k, name in enumerate(names):
        half_px = np.exp(rng.uniform(np.log(24), np.log(largest)))
        x, y = _place(rng, [actor.path.start for actor in actors], half_px)
        actors.append(cast(rng, name, f"{key}/{k}", half_px, Way((x, y), (0, 0))))
        if rng.random() < 0.5:
            way = Way(tuple(rng.normal((x, y), 0.45 * half_px)), (0, 0))
            size = half_px * rng.uniform(0.2, 0.5)
            leaves.append(cast(rng, "leaf", f"{key}/leaf{k}", size, way))
    actors += leaves
    if rng.random() < 0.15:
        way = Way((rng.uniform(0, WIDTH), HEIGHT / 2), (0, 0))
        post = cast(rng, "post", f"{key}/post", 130, way)
        actors.append(replace(post, roll=Wave(), yaw=Wave(), pitch=Wave()))
    return actors


def _place(
    rng: np.random.Generator, taken: list[tuple[float, float]], half_px: float
) -> tuple[float, float]:
    """The best of a few random places: away from the others, now and then beyond the edge."""
    inset = half_px * rng.choice([0.9, 0.45], p=[0.65, 0.35])
    tries = rng.uniform((inset, inset), (WIDTH - inset, max(HEIGHT - inset, inset + 1)), (6, 2))
    if taken:
        apart = np.linalg.norm(tries[:, None] - np.array(taken), axis=2).min(axis=1)
        return tuple(tries[apart.argmax()])
    return tuple(tries[0])


def _annotate(
    actor: Actor, visible: NDArray[np.bool_], drawn: int, inside: float
) -> Annotation | None:
    """The annotation of an object that still shows; `drawn`: its pixels before others came."""
    share = inside * visible.sum() / max(drawn, 1)
    if actor.name in FOREGROUND or share < _LEFT_OUT_BELOW:
        return None
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    box = (int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1)
    pose = "Frontal"
    if actor.name in FACING_RIGHT:
        turned = np.cos(np.radians(actor.pose(0).yaw)) < 0
        pose = "Left" if actor.mirrored != turned else "Right"
    return Annotation(
        actor.name,
        box,
        pose,
        truncated=inside < 0.95,
        occluded=bool(visible.sum() < 0.95 * drawn),
        difficult=bool(share < _DIFFICULT_BELOW),
    )


def annotation_xml(year: int, name: str, objects: list[Annotation]) -> str:
    """The text of an annotation file, as VOC writes it."""
    lines = [
        "<annotation>",
        f"\t<folder>VOC{year}</folder>",
        f"\t<filename>{name}.jpg</filename>",
        "\t<source>",
        "\t\t<database>trackssl miniworld</database>",
        f"\t\t<annotation>PASCAL VOC{year}</annotation>",
        "\t\t<image>drawn</image>",
        "\t</source>",
        "\t<size>",
        f"\t\t<width>{WIDTH}</width>",
        f"\t\t<height>{HEIGHT}</height>",
        "\t\t<depth>3</depth>",
        "\t</size>",
        "\t<segmented>0</segmented>",
    ]
    for item in objects:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), item.box, strict=True)
        lines += [
            "\t<object>",
            f"\t\t<name>{item.name}</name>",
            f"\t\t<pose>{item.pose}</pose>",
            f"\t\t<truncated>{item.truncated:d}</truncated>",
            f"\t\t<occluded>{item.occluded:d}</occluded>",
            f"\t\t<difficult>{item.difficult:d}</difficult>",
            "\t\t<bndbox>",
            *(f"\t\t\t<{key}>{value}</{key}>" for key, value in corners),
            "\t\t</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def _write_lists(folder: Path, members: dict[str, list[tuple[str, list[Annotation]]]]) -> None:
    """`{split}.txt`, a name a line; `{class}_{split}.txt` with 1 (there), 0 (difficult) or -1."""
    members = {**members, "trainval": members["train"] + members["val"]}
    for split, images in members.items():
        for name in CLASSES:
            flags = (f"{image} {_flag(name, objects):2d}\n" for image, objects in images)
            write_text(folder / f"{name}_{split}.txt", "".join(flags))
    for split, images in members.items():
        write_text(folder / f"{split}.txt", "".join(f"{image}\n" for image, _ in images))


def _flag(name: str, objects: list[Annotation]) -> int:
    difficult = [item.difficult for item in objects if item.name == name]
    return -1 if not difficult else 0 if all(difficult) else 1
