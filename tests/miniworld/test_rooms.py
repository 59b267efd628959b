import numpy as np
import pytest

from trackssl.miniworld.rooms import CAMERA, Frame, draw_room


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [draw_room(0, "train", index) for index in range(3)]


def test_a_room_is_a_function_of_its_name(frames: list[Frame]) -> None:
    again = draw_room(0, "train", 1)
    assert (again.image == frames[1].image).all()
    assert (again.raw_depth == frames[1].raw_depth).all()
    assert (draw_room(0, "test", 1).image != again.image).any()


def test_frames_are_those_of_nyu(frames: list[Frame]) -> None:
    for frame in frames:
        assert frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8
        assert frame.image[44:471, 40:601].std() > 10
        assert (frame.image[0] == 255).all()  # the white rim
        assert frame.depth.min() > 0.1 and frame.depth.max() < 10
        known = frame.raw_depth > 0
        assert 0.75 < known.mean() < 0.97
        assert (frame.raw_depth[known] == frame.depth[known]).all()


def test_normals_have_length_1_and_face_the_camera(frames: list[Frame]) -> None:
    x = (np.arange(640) - CAMERA.cx) / CAMERA.fx
    y = (np.arange(480) - CAMERA.cy) / CAMERA.fy
    rays = np.stack([*np.meshgrid(x, y), np.ones((480, 640))], axis=2)
    for frame in frames:
        assert np.abs(np.linalg.norm(frame.normals, axis=2) - 1).max() < 1e-3
        assert (frame.normals * rays).sum(2).max() < 0


def test_rooms_show_floors_and_walls_of_many_directions(frames: list[Frame]) -> None:
    for frame in frames:
        inner = frame.normals[44:471, 40:601].reshape(-1, 3)
        up, wall = inner[:, 1] < -0.7, np.abs(inner[:, 1]) < 0.6
        assert wall.mean() > 0.2
        assert up.mean() > 0.01
