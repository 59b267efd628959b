"""The archive that PASCAL VOC's evaluation server takes: files of detections, one a class."""

import gzip
import io
import tarfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from trackssl.datasets.voc import VOC_CLASSES
from trackssl.detection.detection_files import detection_files, read_detections
from trackssl.errors import InputError
from trackssl.files import whole_file


def write_submission(
    folder: Path,
    out: Path,
    competition: str,
    split: str = "test",
    year: int = 2012,
    images: Sequence[str] | None = None,
) -> int:
    """Pack `results/VOC{year}/Main/{competition}_det_{split}_{class}.txt` -> number of detections.

    The text of the files is taken as it is, after every line was checked; of `images`, the ids of
    the split, where they are known. Equal files make equal bytes.

    Raises InputError for wrong lines, a missing or unknown class, or another name than .tar.gz or
    .tgz, which the server refuses.
    """
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise InputError(f"{out}: the server takes .tar.gz or .tgz only; name it so.")
    files = detection_files(folder, split)
    if absent := [name for name in VOC_CLASSES if name not in files]:
        raise InputError(
            f"{folder}: no file for {', '.join(absent)}; the server wants all of VOC's classes "
            "(an empty file where nothing was found)."
        )
    if unknown := [name for name in files if name not in VOC_CLASSES]:
        raise InputError(f"{files[unknown[0]]}: '{unknown[0]}' is no class of VOC; remove it.")
    positions: Mapping[str, int] = (
        defaultdict(int) if images is None else {image: n for n, image in enumerate(images)}
    )
    lines = sum(len(read_detections(files[name], positions).scores) for name in VOC_CLASSES)
    with (
        whole_file(out) as part,
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in VOC_CLASSES:
            text = files[name].read_bytes()
            info = tarfile.TarInfo(
                f"results/VOC{year}/Main/{competition}_det_{split}_{name}.txt"
            )  # of no owner, from 1970
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return lines
