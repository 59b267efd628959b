"""Furnished rooms as a depth camera sees them, with exact normals, in NYU Depth v2's formats.

Coordinates are in metres: x right, y down, z ahead; the floor is at y = 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import h5py
import numpy as np
import scipy.io
from numpy.typing import ArrayLike, NDArray

from trackssl.config import Intrinsics
from trackssl.files import whole_file
from trackssl.images import Image
from trackssl.miniworld.patterns import PATTERNS, turned
from trackssl.randomness import generator

HEIGHT, WIDTH = 480, 640
CAMERA = Intrinsics()
_RIM_PX = 10  # white in the frames of NYU, without depth
_SCALE = 2  # rays are cast for blocks of so many pixels a side
_DISPARITY_STEP = 0.0029  # of a Kinect's depth, in 1 / m
_FAR = 1e3

Floats = NDArray[np.floating]


def _vector(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Rays:
    """A ray a pixel: `origin` (3,) and `directions` (3, H, W), 1 long along the camera's z."""

    origin: Floats
    directions: Floats


@dataclass(frozen=True)
class Paint:
    """A pattern of two colours (BGR, 0..1) over a surface."""

    pattern: str
    frequency: float
    degrees: float
    colours: Floats  # (2, 3)

    def __call__(self, u: Floats, v: Floats) -> Floats:
        """Colours (N, 3) at places of the surface, in metres."""
        share = PATTERNS[self.pattern](*turned(u, v, self.frequency, self.degrees))[:, None]
        return self.colours[0] * (1 - share) + self.colours[1] * share


class Hit(NamedTuple):
    """Where rays meet a body, one row a ray: outward normals and places on the surface."""

    normals: Floats  # (N, 3)
    u: Floats
    v: Floats


@dataclass(frozen=True)
class Body:
    """Something with a place, a turn (3, 3: rows are its own axes) and half sizes (3,)."""

    centre: Floats
    turn: Floats
    half: Floats
    paint: Paint

    def local(self, rays: Rays) -> tuple[Floats, Floats]:
        """Origin (3,) and directions in the body's own axes."""
        return (
            self.turn @ (rays.origin - self.centre),
            np.tensordot(self.turn, rays.directions, axes=1),
        )

    def distance(self, rays: Rays) -> Floats:
        """Depth (H, W) at which each ray meets it first; `_FAR` where it does not."""
        raise NotImplementedError

    def at(self, rays: Rays, depth: Floats, seen: NDArray[np.bool_]) -> Hit:
        """The surface where the rays `seen` (H, W) meet it."""
        origin, directions = self.local(rays)
        return self._surface(origin + (depth[seen] * directions[:, seen]).T)

    def _surface(self, points: Floats) -> Hit:
        raise NotImplementedError

    def colours(self, hit: Hit) -> Floats:
        """Colours (N, 3) of the surface."""
        return self.paint(hit.u, hit.v)


class Box(Body):
    """A cuboid."""

    inside = False

    def distance(self, rays: Rays) -> Floats:
        """Slabs: the last entry comes before the first exit."""
        origin, directions = self.local(rays)
        safe = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
        half, start = self.half[:, None, None], origin[:, None, None]
        a, b = (-half - start) / safe, (half - start) / safe
        enter = np.minimum(a, b).max(axis=0)
        leave = np.maximum(a, b).min(axis=0)
        if self.inside:
            return leave
        return np.where((enter < leave) & (enter > 0), enter, _FAR)

    def _surface(self, points: Floats) -> Hit:
        axis = np.abs(points / self.half).argmax(axis=1)
        rows = np.arange(len(points))
        normals = np.zeros_like(points)
        normals[rows, axis] = np.sign(points[rows, axis]) * (-1 if self.inside else 1)
        u, v = points[rows, (axis + 1) % 3], points[rows, (axis + 2) % 3]
        return Hit(normals @ self.turn, u, v)


@dataclass(frozen=True)
class Shell(Box):
    """A room seen from within: walls, and a floor and a ceiling of their own."""

    inside = True
    floor: Paint
    ceiling: Paint

    def colours(self, hit: Hit) -> Floats:
        """Colours (N, 3) by which way the surface faces."""
        up = hit.normals[:, 1:2]
        there = (self.floor(hit.u, hit.v), self.ceiling(hit.u, hit.v), self.paint(hit.u, hit.v))
        return np.where(up < -0.5, there[0], np.where(up > 0.5, there[1], there[2]))


class Cylinder(Body):
    """An upright cylinder of radius `half[0]`."""

    def distance(self, rays: Rays) -> Floats:
        """The nearer of the side and the top or bottom disc."""
        origin, directions = self.local(rays)
        radius, half = self.half[0], self.half[1]
        o, d = origin[[0, 2]], directions[[0, 2]]
        side = _first_root((d * d).sum(0), np.tensordot(o, d, 1), (o * o).sum() - radius**2)
        at = origin[1] + side * directions[1]
        side = np.where((side > 0) & (np.abs(at) <= half), side, _FAR)
        lid = (np.sign(origin[1]) * half - origin[1]) / np.where(
            np.abs(directions[1]) < 1e-9, 1e-9, directions[1]
        )
        place = o[:, None, None] + lid * d
        lid = np.where((lid > 0) & ((place**2).sum(0) <= radius**2), lid, _FAR)
        return np.minimum(side, lid)

    def _surface(self, points: Floats) -> Hit:
        radius, half = self.half[0], self.half[1]
        on_lid = half - np.abs(points[:, 1]) < radius - np.hypot(points[:, 0], points[:, 2])
        normals = points * [1, 0, 1] / radius
        normals[on_lid] = 0
        normals[on_lid, 1] = np.sign(points[on_lid, 1])
        angle = np.arctan2(points[:, 2], points[:, 0]) * radius
        u = np.where(on_lid, points[:, 0], angle)
        v = np.where(on_lid, points[:, 2], points[:, 1])
        return Hit(normals @ self.turn, u, v)


class Ball(Body):
    """A sphere of radius `half[0]`."""

    def distance(self, rays: Rays) -> Floats:
        """The nearer of two roots."""
        origin, directions = self.local(rays)
        free = (origin**2).sum() - self.half[0] ** 2
        root = _first_root((directions**2).sum(0), np.tensordot(origin, directions, 1), free)
        return np.where(root > 0, root, _FAR)

    def _surface(self, points: Floats) -> Hit:
        radius = self.half[0]
        u = np.arctan2(points[:, 2], points[:, 0]) * radius
        v = np.arcsin(np.clip(points[:, 1] / radius, -1, 1)) * radius
        return Hit((points / radius) @ self.turn, u, v)


def _first_root(a: Floats, half_b: Floats, c: float) -> Floats:
    """The smaller root of a t^2 + 2 half_b t + c; -1 where there is none."""
    inner = half_b * half_b - a * c
    return np.where(inner > 0, (-half_b - np.sqrt(np.maximum(inner, 0))) / np.maximum(a, 1e-12), -1)


@dataclass(frozen=True)
class Frame:
    """What the camera records, and the truth."""

    image: Image  # (480, 640, 3) uint8 BGR
    depth: Floats  # (480, 640) metres, holes filled
    raw_depth: Floats  # 0 where none was measured
    normals: Floats  # (480, 640, 3), exact, in the camera's frame


def draw_room(seed: int, split: str, index: int) -> Frame:
    """A room of a split. Rays are cast a block of 2 x 2 pixels; within a block the surface is its
    tangent plane, so that depth agrees with the normal at every pixel.
    """
    rng = generator(seed, "rooms", split, index)
    shell, bodies = _furnish(rng)
    turn, origin = _camera(rng, shell, bodies)
    ray = _pixel_rays(_SCALE)
    rays = Rays(origin, _turned(turn, ray))
    depth = np.stack([body.distance(rays) for body in bodies])
    owner, depth = depth.argmin(axis=0), depth.min(axis=0)
    normals = np.zeros_like(ray)
    colour = np.zeros_like(ray)
    lamp = shell.centre + shell.half * [
        *rng.uniform(-0.5, 0.5, 1),
        -0.9,
        *rng.uniform(-0.5, 0.5, 1),
    ]
    ambient, power = rng.uniform(0.3, 0.6), rng.uniform(0.6, 1)
    for number, body in enumerate(bodies):
        seen = owner == number
        if not seen.any():
            continue
        hit = body.at(rays, depth, seen)
        normals[seen] = hit.normals @ turn.T
        to_lamp = lamp - (rays.origin + (depth[seen] * rays.directions[:, seen]).T)
        far = np.linalg.norm(to_lamp, axis=1)
        facing = np.maximum((hit.normals * to_lamp).sum(1) / far, 0)
        light = ambient + power * facing / (1 + (far / 4) ** 2)
        colour[seen] = body.colours(hit) * light[:, None]
    image = _photograph(rng, colour)
    normals, depth = _at_pixels(ray, normals, depth)
    filled, raw = _measure(rng, depth, normals)
    return Frame(image, filled, raw, normals)


def _pixel_rays(scale: int) -> Floats:
    """(H, W, 3) directions in the camera's frame through the middles of blocks of pixels."""
    middle = (scale - 1) / 2
    x = (np.arange(0, WIDTH, scale) + middle - CAMERA.cx) / CAMERA.fx
    y = (np.arange(0, HEIGHT, scale) + middle - CAMERA.cy) / CAMERA.fy
    return np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], axis=2).astype(np.float32)


def _turned(turn: Floats, ray: Floats) -> Floats:
    """Directions (H, W, 3) in the camera's axes -> (3, H, W) in the room's."""
    return np.tensordot(turn.T, ray.transpose(2, 0, 1), axes=1).astype(np.float32)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("hwi,hwi->hw", a, b)


def _at_pixels(ray: Floats, normals: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Normals and depth of every pixel of the blocks."""

    def spread(values: Floats) -> Floats:
        return values.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)

    plane = depth * _dot(normals, ray)  # n . p of the tangent plane, negative
    normals = spread(normals)
    facing = _dot(normals, _pixel_rays(1))
    exact = spread(plane) / np.minimum(facing, -1e-3)
    return normals, np.clip(exact, 0.9 * spread(depth), 1.1 * spread(depth))


def _photograph(rng: np.random.Generator, colour: Floats) -> Image:
    """Colours of blocks -> a noisy picture with a white rim."""
    image = cv2.resize(colour, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    image = 255 * np.clip(image * rng.uniform(0.8, 1.25), 0, 1) ** rng.uniform(0.8, 1.1)
    image += rng.normal(0, rng.uniform(2, 5), (HEIGHT, WIDTH, 1)).astype(np.float32)
    image[_rim()] = 255
    return np.clip(image, 0, 255).astype(np.uint8)


def _rim() -> NDArray[np.bool_]:
    rim = np.ones((HEIGHT, WIDTH), bool)
    rim[_RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX] = False
    return rim


def _measure(rng: np.random.Generator, depth: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Depth as a Kinect gives it: (holes filled from their nearest pixel, 0 in the holes)."""
    noisy = 1 / depth + rng.normal(0, 0.3 * _DISPARITY_STEP, depth.shape)
    steps = np.maximum(np.round(noisy / _DISPARITY_STEP), 1)
    measured = (1 / (steps * _DISPARITY_STEP)).astype(np.float32)
    near = cv2.erode(depth, np.ones((3, 9), np.uint8))
    ray = _pixel_rays(1)
    grazing = np.abs(_dot(normals, ray)) / np.sqrt(_dot(ray, ray)) < 0.1
    blobs = cv2.resize(rng.random((24, 32)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) > 0.97
    holes = _rim() | grazing | (depth > 1.08 * near) | blobs
    raw = np.where(holes, 0, measured)
    _, labels = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(labels.max() + 1, np.float32)
    by_label[labels[~holes]] = measured[~holes]
    return by_label[labels], raw


def _furnish(rng: np.random.Generator) -> tuple[Shell, list[Body]]:
    """A room and all that is in it, the room first."""
    half = _vector([rng.uniform(1.6, 3), rng.uniform(1.2, 1.5), rng.uniform(1.6, 3)])
    walls = _paint(rng, (0.5, 0.9), contrast=0.06)
    floor, ceiling = _paint(rng, (0.2, 0.6), contrast=0.15), _paint(rng, (0.8, 1), contrast=0.02)
    upright = np.eye(3, dtype=np.float32)
    shell = Shell(_vector([0, -half[1], 0]), upright, half, walls, floor, ceiling)
    bodies: list[Body] = [shell]
    for _ in range(rng.integers(3, 7)):  # along the walls
        bodies += _cupboard(rng, half)
    for _ in range(rng.integers(1, 4)):
        bodies += _table(rng, half)
    for _ in range(rng.integers(2, 5)):
        bodies += _loose(rng, half)
    return shell, bodies


def _paint(
    rng: np.random.Generator, bright: tuple[float, float] = (0.3, 1), contrast: float = 0.25
) -> Paint:
    first = np.clip(rng.uniform(*bright) + rng.normal(0, 0.12, 3), 0.1, 1)
    second = np.clip(first + rng.normal(0, contrast, 3), 0.05, 1)
    return Paint(
        str(rng.choice(sorted(PATTERNS))),
        float(np.exp(rng.uniform(np.log(0.8), np.log(6)))),
        float(rng.uniform(0, 180)) if rng.random() < 0.3 else float(rng.choice([0, 90])),
        _vector([first, second]),
    )


def _about_y(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return _vector([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_x(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return _vector([[1, 0, 0], [0, c, s], [0, -s, c]])


def _cupboard(rng: np.random.Generator, room: Floats) -> list[Body]:
    """A cuboid against a wall, on the floor or hanging, at times with a ball or tin on top."""
    size = _vector([rng.uniform(0.3, 1), rng.uniform(0.2, 0.9), rng.uniform(0.15, 0.35)])
    hangs = rng.random() < 0.3
    bottom = -rng.uniform(0.9, 1.3) if hangs else 0.0
    size[1] = min(size[1], (2 * room[1] + bottom) / 2 - 0.05)
    wall = rng.integers(4)
    turn = _about_y(wall * np.pi / 2)
    ahead = room[2] if wall % 2 == 0 else room[0]
    aside = room[0] if wall % 2 == 0 else room[2]
    place = _vector([rng.uniform(-1, 1) * (aside - size[0]), bottom - size[1], ahead - size[2]])
    box = Box(place @ turn, turn, size, _paint(rng))
    top = box.centre - [0, size[1], 0]
    return [box, *(_small(rng, top) if rng.random() < 0.5 and not hangs else [])]


def _table(rng: np.random.Generator, room: Floats) -> list[Body]:
    """A top on a cuboid or round foot, with a few things on it."""
    turn = _about_y(rng.uniform(0, np.pi) if rng.random() < 0.6 else 0)
    height = rng.uniform(0.4, 0.8)
    half = _vector([rng.uniform(0.3, 0.8), 0.03, rng.uniform(0.3, 0.5)])
    x, z = rng.uniform(-0.6, 0.6, 2) * room[[0, 2]]
    paint = _paint(rng)
    top: Body = Box(_vector([x, -height, z]), turn, half, paint)
    foot_half = _vector([0.12, height / 2, 0.12])
    kind = Cylinder if rng.random() < 0.5 else Box
    if rng.random() < 0.4:  # a block or a bed in place of a table
        kind, foot_half = Box, _vector([half[0] * 0.98, height / 2, half[2] * 0.98])
    foot = kind(_vector([x, -height / 2, z]), turn, foot_half, paint)
    surface = top.centre - [0, half[1], 0]
    things = [body for _ in range(rng.integers(0, 3)) for body in _small(rng, surface)]
    return [top, foot, *things]


def _small(rng: np.random.Generator, surface: Floats) -> list[Body]:
    """A box, tin or ball that stands about there."""
    size = rng.uniform(0.06, 0.2)
    at = surface + _vector([rng.uniform(-0.25, 0.25), -size, rng.uniform(-0.25, 0.25)])
    turn = _about_y(rng.uniform(0, np.pi))
    kind = (Box, Cylinder, Ball)[rng.integers(3)]
    half = _vector([size * rng.uniform(0.5, 1.2), size, size * rng.uniform(0.5, 1.2)])
    return [
        kind(
            at.astype(np.float32), turn, half if kind is not Ball else size + 0 * half, _paint(rng)
        )
    ]


def _loose(rng: np.random.Generator, room: Floats) -> list[Body]:
    """A leaning board, a column, a large ball or a crate."""
    x, z = rng.uniform(-0.8, 0.8, 2) * room[[0, 2]]
    turn = _about_y(rng.uniform(0, 2 * np.pi))
    kind = rng.integers(4)
    if kind == 0:
        half = _vector([rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), 0.03])
        turn = (_about_x(rng.uniform(-0.9, 0.9)) @ turn).astype(np.float32)
        return [Box(_vector([x, -half[1] * 0.8, z]), turn, half, _paint(rng))]
    if kind == 1:
        half = _vector([rng.uniform(0.1, 0.3), rng.uniform(0.3, room[1]), 1])
        return [Cylinder(_vector([x, -half[1], z]), turn, half, _paint(rng))]
    if kind == 2:
        radius = rng.uniform(0.15, 0.4)
        return [Ball(_vector([x, -radius, z]), turn, _vector([radius] * 3), _paint(rng))]
    half = rng.uniform(0.15, 0.4, 3).astype(np.float32)
    return [Box(_vector([x, -half[1], z]), turn, half, _paint(rng))]


def _camera(
    rng: np.random.Generator, shell: Shell, bodies: list[Body]
) -> tuple[NDArray[np.float64], Floats]:
    """Turn (camera's axes as rows) and place: level or looking down a little.

    Of some random views the one that shows most bodies and does not stand before one of them.
    """
    ray = _pixel_rays(40)
    views = []
    for _ in range(12):
        x, z = rng.uniform(-0.9, 0.9, 2) * shell.half[[0, 2]]
        origin = _vector([x, -rng.uniform(1, 1.7), z])
        yaw = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.45)  # most photographs face a wall
        pitch, roll = rng.normal(-0.2, 0.15), rng.normal(0, 0.04)
        c, s = np.cos(roll), np.sin(roll)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ _about_x(pitch) @ _about_y(yaw)
        rays = Rays(origin, _turned(turn, ray))
        depth = np.stack([body.distance(rays) for body in bodies])
        shown = np.bincount(depth.argmin(axis=0).ravel(), minlength=len(bodies)) >= 2
        near = float(np.quantile(depth.min(axis=0), 0.1))
        views.append((min(near, 1) * (2 + shown.sum()), turn, origin))
    return max(views, key=lambda view: view[0])[1:]


def render_rooms(folder: Path, train_images: int, test_images: int, seed: int) -> None:
    """Write `nyu_depth_v2_labeled.mat`, `splits.mat` and `normals/{train,test}/00001.png`."""
    splits = ["train"] * train_images + ["test"] * test_images
    generator(seed, "rooms", "order").shuffle(splits)
    frames = len(splits)
    with (
        whole_file(folder / "nyu_depth_v2_labeled.mat") as part,
        h5py.File(part, "w") as file,
    ):
        shapes = {"images": (3, WIDTH, HEIGHT), "depths": (WIDTH, HEIGHT)}
        shapes["rawDepths"] = shapes["depths"]
        data = {
            name: file.create_dataset(
                name,
                (frames, *shape),
                np.uint8 if name == "images" else np.float32,
                chunks=(1, *shape),
                compression=None if name == "images" else "lzf",
            )
            for name, shape in shapes.items()
        }
        for number, (split, frame) in enumerate(_frames(splits, seed), start=1):
            data["images"][number - 1] = frame.image.transpose(2, 1, 0)[::-1]
            data["depths"][number - 1] = frame.depth.T
            data["rawDepths"][number - 1] = frame.raw_depth.T
            _write_normals(folder / "normals" / split / f"{number:05d}.png", frame.normals)
    numbers = {
        f"{split}Ndxs": np.array([[k + 1.0] for k, name in enumerate(splits) if name == split])
        for split in ("train", "test")
    }
    with whole_file(folder / "splits.mat") as part, part.open("wb") as out:
        scipy.io.savemat(out, numbers)


def _frames(splits: list[str], seed: int) -> Iterator[tuple[str, Frame]]:
    counts = dict.fromkeys(splits, 0)
    for split in splits:
        yield split, draw_room(seed, split, counts[split])
        counts[split] += 1


def _write_normals(path: Path, normals: Floats) -> None:
    """z, y, x as red, green, blue of 16 bits."""
    values = np.round((normals + 1) / 2 * 65535).astype(np.uint16)
    done, png = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    with whole_file(path) as part:
        part.write_bytes(png.tobytes())
