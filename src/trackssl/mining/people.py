"""People in a frame, whom IDT leaves out of the camera's estimation (option `mask_people`)."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

STEP_PX = 8
ZOOM = 1.1
PERSON_PX = (128, 64)  # height and width of the classifier's window


def people(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Upright people in a grey frame (H, W) uint8 -> boxes (N, 4) float32 x0, y0, x1, y1 in pixels.

    OpenCV's HOG and linear classifier of 64 x 128 px (Dalal & Triggs, CVPR 2005): it finds those
    who stand or walk in whole view and are about 100 px high or more, and few others. Frames
    under 128 x 64 px hold nobody.
    """
    if any(side < least for side, least in zip(grey.shape, PERSON_PX, strict=True)):
        return np.empty((0, 4), np.float32)  # OpenCV crashes on much smaller ones
    found, _ = _detector().detectMultiScale(grey, winStride=(STEP_PX, STEP_PX), scale=ZOOM)
    corners = np.asarray(found, np.float32).reshape(-1, 4)
    edges = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)
    height, width = grey.shape
    return np.clip(edges, 0, np.array([width, height, width, height], np.float32))


@cache
def _detector() -> cv2.HOGDescriptor:
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
    return hog
