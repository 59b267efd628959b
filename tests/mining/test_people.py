from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.mining.people import people


@pytest.mark.real_data
def test_two_people_by_the_track_are_found(real_data: Path):
    video = cv2.VideoCapture(str(real_data / "videos" / "soapbox.mp4"))
    for _ in range(21):
        frame = video.read()[1]
    grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (600, 448))
    boxes = people(grey)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for person in ((455, 110), (163, 125)):
        assert np.abs(middles - person).max(axis=1).min() < 20
    assert len(boxes) <= 4


@pytest.mark.parametrize("shape", [(448, 600), (64, 64), (5, 9)])
def test_a_flat_frame_holds_nobody(shape):
    assert people(np.full(shape, 90, np.uint8)).shape == (0, 4)
