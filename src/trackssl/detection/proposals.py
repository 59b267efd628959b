"""Windows that may hold an object: by OpenCV's selective search (Uijlings et al. 2013), or given.

OpenCV orders its windows by a rank times a draw from C's `rand()`, which only `srand` can seed. So
the seed is set from the image's id right before each search, and a process searches one image at a
time: the windows of an image never depend on what was searched before. They do depend on the C
library and, by OpenCV's vector code, on the kind of processor, so stored proposals are data.

Most of its time goes into colour histograms, for which it scans the image once a region.
"""

import ctypes
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from trackssl.boxes import Boxes
from trackssl.config import Proposals
from trackssl.datasets.voc import Devkit, VocIndex
from trackssl.detection.box_files import GivenBoxes, check_boxes, read_boxes
from trackssl.detection.workers import parallel_map
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, whole_file
from trackssl.images import Image, read_image
from trackssl.randomness import derive_seed

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("boxes", pa.list_(pa.list_(pa.float32(), 4))),
    ]
)


def propose(image: Image, name: str, settings: Proposals) -> Boxes:
    """Windows of an image (H, W, 3) uint8 BGR -> (N, 4) x0, y0, x1, y1, edges from 0 in pixels.

    In OpenCV's order, whose draws are a function of `name`; N is at most `settings.max_windows`.
    As in R-CNN, windows with a side below `min_side_px` are dropped before the list is cut.
    """
    cv2.setNumThreads(1)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    if settings.mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    ctypes.CDLL(None).srand(derive_seed("selective search", name) & 0x7FFFFFFF)
    boxes = np.array(search.process(), np.float32).reshape(-1, 4)  # x, y, width, height
    boxes[:, 2:] += boxes[:, :2]
    return _cut(boxes, settings)


def _cut(boxes: Boxes, settings: Proposals) -> Boxes:
    """Drop small windows, then those beyond the wanted number, as R-CNN does."""
    large = (boxes[:, 2:] - boxes[:, :2] >= settings.min_side_px).all(axis=1)
    return boxes[large][: settings.max_windows]


def propose_split(
    index: VocIndex, split: str, settings: Proposals, processes: int, out: Path, progress: Path
) -> int:
    """Write the proposals of a split as Arrow, a row an image -> the number of windows.

    Resumes from `progress`, image by image; the number of processes changes nothing. Raises
    InputError for an image that cannot be read, given boxes that are not those of these images, or
    progress of other settings.
    """
    images = index.images(split)
    made_of = {"proposals": settings.model_dump(), "split": split, "voc": index.sha256}
    given: dict[str, GivenBoxes] = {}
    source = None
    if settings.mode == "file":
        source = Path(str(settings.file).replace("{split}", split))
        given = read_boxes(source)
        made_of["file_sha256"] = file_sha256(source)
    done = Progress(progress, made_of, "proposals")
    parts = {image: done / f"{image}.arrow" for image in images}
    missing = [
        (path, image, given.get(image)) for image, path in parts.items() if not path.exists()
    ]
    work = partial(_propose_image, devkit=index.devkit, settings=settings, source=source)
    parallel_map(work, missing, processes, "proposals")
    windows = 0
    with whole_file(out) as part, pa.ipc.new_file(str(part), SCHEMA) as writer:
        for path in parts.values():
            table = pa.ipc.open_file(path.read_bytes()).read_all()
            windows += len(table["boxes"][0])
            writer.write_table(table)
    done.finish()
    return windows


def _propose_image(
    task: tuple[Path, str, GivenBoxes | None],
    devkit: Devkit,
    settings: Proposals,
    source: Path | None,
) -> None:
    """Write an image's row, as `source` gives or a search finds it: (the file, image, given)."""
    out, name, given = task
    image = read_image(devkit.image_path(name))
    height, width = image.shape[:2]
    known = devkit.annotation(name)
    if (known.boxes[:, 2:] >= [width + 1, height + 1]).any():
        raise InputError(
            f"{devkit.annotation_path(name)}: describes an image of {known.width} x "
            f"{known.height} pixels, but it is {width} x {height}; restore the matching file."
        )
    if source:
        boxes = _cut(check_boxes(source, name, given, width, height), settings)
    else:
        boxes = propose(image, name, settings)
    row = {"image": name, "width": width, "height": height, "boxes": boxes.tolist()}
    with whole_file(out) as part, pa.ipc.new_file(str(part), SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=SCHEMA))


class ProposalFile:
    """The proposals of a split, read by memory map: `len()` images, the boxes of image number i.

    `windows` is the number of proposals of all images.
    """

    def __init__(self, path: Path, images: list[str]) -> None:
        """Open a file that must hold exactly `images`, in order. Raises InputError if not."""
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"{path}: cannot be read as proposals ({error}); run propose-windows again."
            ) from None
        if not table.schema.equals(SCHEMA) or table["image"].to_pylist() != images:
            raise InputError(
                f"{path}: these are not the proposals of this split's {len(images)} images; run "
                "propose-windows again with the same --voc and --split."
            )
        self.path = path
        self._boxes = table["boxes"]
        self.windows = sum(len(batch.flatten()) for batch in self._boxes.chunks)

    def __len__(self) -> int:
        return len(self._boxes)

    def __getitem__(self, number: int) -> Boxes:
        """Boxes of an image, (N, 4) edges from 0, in selective search's order."""
        coordinates = self._boxes[number].values.flatten()
        return coordinates.to_numpy().reshape(-1, 4)
