"""Images as data URIs: nothing of the page lies outside of it."""

import base64
from pathlib import Path

import cv2
import numpy as np

from trackssl.images import Image, read_image
from trackssl.lettering import write_text_on
from trackssl.report.page.blocks import Picture

_STRIP_PX, _TEXT_PX = 22, 12
_INK, _PAPER = (90, 85, 80), (255, 255, 255)


def shrunk(image: Image, longest_px: int) -> Image:
    """An image whose longer side is at most so many pixels."""
    scale = longest_px / max(image.shape[:2])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg_uri(image: Image, quality: int = 82) -> str:
    """An image (H, W, 3) uint8 BGR as the address of a JPEG that is the address's own text."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def webp_uri(image: Image, quality: int = 80) -> str:
    """The same as WebP: smaller for drawings and sheets."""
    data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def picture(
    image: Image,
    label: str,
    *,
    alt: str,
    title: str,
    caption: str = "",
    longest_px: int = 1200,
    broad: bool = False,
    link: str = "",
) -> Picture:
    """An image for the page, with the run's label on a strip at its foot."""
    image = shrunk(image, longest_px)
    if label:
        image = cv2.copyMakeBorder(  # type: ignore[assignment]
            image, 0, _STRIP_PX, 0, 0, cv2.BORDER_CONSTANT, value=_PAPER
        )
        write_text_on(image, (4, image.shape[0] - 7), label, _INK, _TEXT_PX)
    height, width = image.shape[:2]
    return Picture(webp_uri(image), width, height, alt, title, caption, "", broad, link)


def file_picture(path: Path, label: str, **more: object) -> Picture:
    """An image file of the run. Raises InputError for one that cannot be decoded."""
    return picture(read_image(path), label, **more)  # type: ignore[arg-type]
