"""Images as arrays (H, W, 3) uint8 in BGR, the order of OpenCV and of Caffe."""

import io
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.errors import InputError

Image = NDArray[np.uint8]

# Mean colour of the released training code (caffe-video_triplet), in BGR, 0..255.
MEAN_BGR = (96.64, 102.75, 108.00)

_PILLOW_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # others start programs


def read_image(path: Path, grey: bool = False) -> Image:
    """Decode an image file -> (H, W, 3) uint8 BGR, or (H, W) grey. Raises InputError."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such image; check the path.")
    mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    return decode_image(path.read_bytes(), str(path), mode)


def decode_image(data: bytes, name: str, mode: int = cv2.IMREAD_COLOR) -> Image:
    """Decode image bytes -> (H, W, 3) uint8 BGR. Raises InputError that names `name`."""
    image = None
    with suppress(cv2.error):  # one that claims more than 2^30 pixels
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    if image is None and data:
        image = _by_pillow(data, mode)
    if image is None:
        raise InputError(f"{name}: this is not an image that can be decoded; replace or remove it.")
    return np.asarray(image, np.uint8)


def _by_pillow(data: bytes, mode: int) -> Image | None:
    """What OpenCV cannot decode, such as a GIF that is whole in its first frame only, or None."""
    import PIL.Image  # here, as few need it

    try:
        with PIL.Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as file:
            if mode == cv2.IMREAD_GRAYSCALE:
                return np.array(file.convert("L"))
            return np.array(file.convert("RGB"))[..., ::-1].copy()
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return None


def encode_jpeg(image: Image, quality: int = 90) -> bytes:
    """Encode (H, W, 3) uint8 BGR as JPEG, quality in 1..100."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data.tobytes()
