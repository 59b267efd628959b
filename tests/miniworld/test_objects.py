import numpy as np
import pytest

from trackssl.miniworld.motion import Path, Pose, project
from trackssl.miniworld.objects import CLASSES, draw_object


@pytest.mark.parametrize("name", CLASSES)
def test_individuals_of_a_class_differ_and_each_is_drawn_the_same_again(name):
    first, again, other = (draw_object(name, individual).image for individual in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.02


@pytest.mark.parametrize("name", CLASSES)
def test_an_object_fills_its_sprite_and_its_parts_move_but_little(name):
    still, moved = (draw_object(name, 7, phase).image for phase in (0.0, 1.0))
    seen = still[..., 1] > 127
    assert seen.mean() > 0.12
    changed = np.abs(still[..., 0].astype(int) - moved[..., 0]) > 40
    assert changed[seen].mean() < 0.5


def test_a_pose_without_turns_is_a_square_about_its_centre():
    corners = np.array([(-1.0, -1.0), (1.0, 1.0)])
    assert np.allclose(project(Pose(50, 40, 10).homography(), corners), [(40, 30), (60, 50)])


def test_a_mirrored_pose_swaps_left_and_right():
    right = project(Pose(0, 0, 10, roll=20, mirrored=False).homography(), np.array([[0.5, 0.0]]))
    left = project(Pose(0, 0, 10, roll=20, mirrored=True).homography(), np.array([[-0.5, 0.0]]))
    assert np.allclose(right, left)


def test_a_turned_object_tapers():
    corners = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])
    y = project(Pose(0, 0, 10, yaw=40).homography(), corners)[:, 1]
    assert abs((y[1] - y[0]) - (y[3] - y[2])) > 2


def test_a_path_in_an_area_never_leaves_it_and_keeps_its_speed():
    path = Path((15.0, 5.0), (3.0, -2.0), area=(10, 0, 40, 30))
    places = np.array([path.at(time) for time in np.arange(0, 200, 0.5)])
    assert (places >= (10, 0)).all()
    assert (places <= (40, 30)).all()
    steps = np.abs(np.diff(places, axis=0))
    assert np.allclose(np.median(steps, axis=0), (1.5, 1.0))
