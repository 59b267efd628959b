from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.boxes import to_voc
from trackssl.config import Proposals
from trackssl.datasets.voc import Devkit, VocIndex, make_index
from trackssl.detection.proposals import ProposalFile, propose_split

# image -> (width, height, objects as (class, VOC box, difficult))
Images = dict[str, tuple[int, int, list[tuple[str, tuple[float, ...], bool]]]]
SMALL_SPLITS = {
    "train": ["2007_000528", "2007_000720", "2007_000549", "2007_000027"],
    "val": ["2007_000876", "2007_001225"],
}


def annotation_xml(width: int, height: int, objects: list) -> str:
    corners = ("xmin", "ymin", "xmax", "ymax")
    parts = [f"<annotation><size><width>{width}</width><height>{height}</height></size>"]
    for name, box, difficult in objects:
        edges = "".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, box, strict=True))
        parts.append(
            f"<object><name>{name}</name><difficult>{int(difficult)}</difficult>"
            f"<bndbox>{edges}</bndbox></object>"
        )
    return "".join(parts) + "</annotation>"


@pytest.fixture
def write_devkit(tmp_path: Path) -> Callable[..., Devkit]:
    """Write a devkit of annotations, with photographs of noise if asked."""

    def write(splits: dict[str, Images], photographs: bool = False) -> Devkit:
        devkit = Devkit(tmp_path / "VOCdevkit", 2012)
        for split, images in splits.items():
            devkit.list_path(split).parent.mkdir(parents=True, exist_ok=True)
            devkit.list_path(split).write_text("".join(f"{image}\n" for image in images))
            for image, (width, height, objects) in images.items():
                for path in (devkit.annotation_path(image), devkit.image_path(image)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                xml = annotation_xml(width, height, objects)
                devkit.annotation_path(image).write_text(xml)
                if photographs:
                    noise = np.random.default_rng(len(image)).integers(0, 256, (8, 8, 3))
                    pixels = cv2.resize(noise.astype(np.uint8), (width, height))
                    cv2.imwrite(str(devkit.image_path(image)), pixels)
        return devkit

    return write


@pytest.fixture(scope="session")
def small_voc(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> VocIndex:
    """Six real images of cats, dogs and a person at half their size, with lists of our own."""
    source = Devkit(real_data / "voc" / "VOCdevkit", 2012)
    devkit = Devkit(tmp_path_factory.mktemp("small") / "VOCdevkit", 2012)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (devkit.root / folder).mkdir(parents=True)
    for split, images in SMALL_SPLITS.items():
        devkit.list_path(split).write_text("".join(f"{image}\n" for image in images))
        for image in images:
            pixels = cv2.imread(str(source.image_path(image)))[::2, ::2]
            cv2.imwrite(str(devkit.image_path(image)), pixels)
            known = source.annotation(image)
            boxes = to_voc(known.boxes // 2).tolist()
            objects = list(zip(known.classes, boxes, known.difficult, strict=True))
            xml = annotation_xml(pixels.shape[1], pixels.shape[0], objects)
            devkit.annotation_path(image).write_text(xml)
    return make_index(devkit, list(SMALL_SPLITS))


@pytest.fixture(scope="session")
def small_proposals(
    small_voc: VocIndex, tmp_path_factory: pytest.TempPathFactory
) -> tuple[VocIndex, dict[str, ProposalFile]]:
    """The small index and 150 proposals of each of its images."""
    folder = tmp_path_factory.mktemp("proposals")
    files = {}
    for split in SMALL_SPLITS:
        path = folder / f"{split}.arrow"
        propose_split(small_voc, split, Proposals(max_windows=150), 1, path, folder / "progress")
        files[split] = ProposalFile(path, small_voc.images(split))
    return small_voc, files
