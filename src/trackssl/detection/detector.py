"""A trained detector on anybody's photographs: networks, their SVMs, non-maximum suppression."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from trackssl.boxes import Boxes, overlaps
from trackssl.config import FeatureLayer, Proposals, Svm, parse
from trackssl.detection.crops import Cutter
from trackssl.detection.detect import select
from trackssl.detection.draw import Detection, draw_detections
from trackssl.detection.features import Source, layer_features
from trackssl.detection.proposals import propose
from trackssl.detection.svm import FORMAT, load_svms
from trackssl.errors import InputError
from trackssl.files import whole_file, write_json
from trackssl.images import Image, read_image
from trackssl.networks import DETECTOR, RANKING, load_weights

_SEARCHED_PX = 500  # long side of VOC's images: larger ones are searched at this size
_BATCH_WINDOWS = 128


class Detector:
    """The SVMs of a method and the networks that compute their features.

    `svms` is their file, or the folder that holds `svms.safetensors`; `weights` are the networks in
    the order of the training, or None for the one that bears the method's name in the same results;
    `layer` is that of the features, or None for the one in the SVMs' settings. Raises InputError
    where they do not fit together.
    """

    def __init__(
        self,
        svms: Path,
        weights: list[Path] | None,
        proposals: Proposals,
        layer: FeatureLayer | None = None,
    ) -> None:
        if proposals.mode == "file":
            raise InputError(
                "proposals.mode 'file' is of a split; write fast or quality to detect."
            )
        path = svms / "svms.safetensors" if svms.is_dir() else svms
        self._svms = load_svms(path)
        self.classes = self._svms.classes
        self.settings = _settings(path)
        self._proposals = proposals
        self._layer = layer or self.settings.layer
        files = weights or _own_network(path)
        if len(files) != len(self._svms.dims):
            raise InputError(
                f"{path}: takes the features of {len(self._svms.dims)} networks, but {len(files)} "
                f"{'were given' if weights else 'were found by its name'}; give "
                "--weights once for each, in the order of train-svms --features."
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.use_deterministic_algorithms(self._device.type == "cpu")
        self._networks = [self._open(file) for file in files]
        blank = np.zeros((64, 64, 3), np.uint8)
        for file, member, dim in zip(files, self._networks, self._svms.dims, strict=True):
            found = self._features(member, blank, np.array([[0, 0, 64, 64]], np.float32)).shape[1]
            if found != dim:
                raise InputError(
                    f"{file}: its {self._layer} has {found} dimensions, {path} takes {dim} of it; "
                    "give the networks in the order of train-svms --features, and their --layer."
                )

    def _open(self, file: Path) -> tuple[nn.Module, Cutter]:
        classes = load_weights(file, RANKING, DETECTOR)[1].get("classes")
        if classes is not None and tuple(json.loads(classes)) != self.classes:
            raise InputError(
                f"{file}: was fine-tuned on other classes than these SVMs'; give the networks of "
                "their features."
            )
        network, settings, context_px = Source(file).open(self._layer)
        network.to(self._device)
        return network, Cutter(network, settings.input_px, context_px, self._device)

    def detect(self, image: Image, name: str, min_score: float) -> list[Detection]:
        """Objects in an image (H, W, 3) uint8 BGR of at least this score, best first.

        Windows are those of `propose` under `name`, and for an image with a side above 500 pixels
        those of a smaller copy, which selective search was made for.
        """
        scale = min(1.0, _SEARCHED_PX / max(image.shape[:2]))
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        windows = propose(np.asarray(small, np.uint8), name, self._proposals)
        ratio = np.array(image.shape[1::-1] * 2) / (size * 2)
        boxes = (windows * ratio).astype(np.float32)
        if not len(boxes):
            return []
        parts = [
            self._features(member, image, boxes).astype(np.float32) * np.float32(factor)
            for member, factor in zip(self._networks, self._svms.scales, strict=True)
        ]
        scores = self._svms.scores(np.concatenate(parts, axis=1))
        covers = overlaps(boxes, boxes) > self.settings.nms_overlap
        settings = self.settings.model_copy(update={"min_score": min_score})
        found = [
            Detection(label, float(of_class[row]), boxes[row])
            for label, of_class in zip(self.classes, scores.T.copy(), strict=True)
            for row in select(of_class, covers, settings)
        ]
        return sorted(found, key=lambda detection: -detection.score)

    def _features(
        self, member: tuple[nn.Module, Cutter], image: Image, boxes: Boxes
    ) -> NDArray[np.float16]:
        """Features (N, dim) of one network, in half precision as extract-features stores them."""
        network, cutter = member
        taken = cutter.take(image)
        rows = []
        with torch.inference_mode():
            for start in range(0, len(boxes), _BATCH_WINDOWS):
                few = boxes[start : start + _BATCH_WINDOWS]
                first, straight = np.zeros(len(few), np.int64), np.zeros(len(few), bool)
                crops = cutter.cut([taken], first, few, straight)
                rows.append(layer_features(network, crops, self._layer).half().cpu().numpy())
        return np.concatenate(rows)


def detect_images(
    detector: Detector,
    images: Sequence[Path],
    min_score: float | None,
    most: int,
    out: Path,
    listed: Path | None,
) -> Iterator[tuple[Path, int, int]]:
    """Draw each image's best `most` detections -> (picture, drawn, found), as they are made.

    Where those of different classes overlap more than `nms_overlap`, the best alone is drawn.
    One image is drawn to the file `out`, several into the folder `out` under their own names, as
    PNG. `listed` is JSON of all that are found, written last. Raises InputError.
    """
    least = detector.settings.min_score
    min_score = least if min_score is None else min_score
    if not min_score >= least:
        raise InputError(f"--min-score {min_score:g} is below the SVMs' own {least:g}; raise it.")
    pictures = [out] if len(images) == 1 else [out / f"{image.stem}.png" for image in images]
    if len(set(pictures)) < len(pictures):
        raise InputError("two images have one name, so their pictures would; draw them apart.")
    if len(images) > 1 and out.is_file():
        raise InputError(f"{out}: is a file, but {len(images)} images need a folder; rename it.")
    if len(images) == 1 and out.suffix.lower() != ".png":
        raise InputError(f"{out}: a single picture is a PNG; give a name that ends in .png.")
    rows = []
    for path, picture in zip(images, pictures, strict=True):
        image = read_image(path)
        found = detector.detect(image, path.stem, min_score)
        shown = _apart(found, detector.settings, most)
        _, data = cv2.imencode(".png", draw_detections(image, shown, detector.classes))
        with whole_file(picture) as part:
            part.write_bytes(data.tobytes())
        yield picture, len(shown), len(found)
        rows.append(
            {
                "image": str(path),
                "width": image.shape[1],
                "height": image.shape[0],
                "detections": [
                    {
                        "class": detection.label,
                        "score": round(detection.score, 6),
                        "box": [round(float(edge), 2) for edge in detection.box],
                    }
                    for detection in found
                ],
            }
        )
    if listed:
        write_json(listed, rows)


def _apart(found: list[Detection], settings: Svm, most: int) -> list[Detection]:
    """The best detections that no better one covers, of whatever class."""
    boxes = np.array([detection.box for detection in found], np.float32).reshape(-1, 4)
    scores = np.array([detection.score for detection in found], np.float32)
    covers = overlaps(boxes, boxes) > settings.nms_overlap
    chosen = settings.model_copy(update={"max_detections_per_image": most})
    return [found[row] for row in select(scores, covers, chosen)]


def _settings(svms: Path) -> Svm:
    """The settings that SVMs were trained with: layer, suppression, lowest score."""
    with safe_open(svms, framework="np") as file:
        described = json.loads(file.metadata()[FORMAT])
    return parse(Svm, described.get("settings"), str(svms))


def _own_network(svms: Path) -> list[Path]:
    """methods/{name}/seed{s}/svms.safetensors -> networks/{name}/seed{s}/weights.safetensors."""
    seed = svms.absolute().parent
    folder = seed.parents[2] / "networks" if len(seed.parents) > 2 else seed
    file = folder / seed.parent.name / seed.name / "weights.safetensors"
    return [file] if file.is_file() else []
