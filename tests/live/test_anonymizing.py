"""Faces that are covered: in pictures, in videos, in what is saved beside them."""

import cv2
import numpy as np
import pytest

from fer_core.cli.live import main
from fer_core.faces import Box
from fer_core.live.loop import anonymized
from fer_core.live.video import open_reader, sampled_frames
from tests.photographs import photograph
from tests.study.test_study import save_video

BOX = Box(120, 60, 160, 160)


@pytest.mark.parametrize("how", ["blur", "pixelate", "mask"])
@pytest.mark.parametrize("box", [BOX, Box(-60, -50, 160, 160), Box(390, 290, 100, 100)])
def test_a_face_is_covered_and_the_rest_stays(how, box):
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    covered = anonymized(picture, [box], how)
    down, across = np.mgrid[:300, :400]
    away = np.hypot(across - box.x - box.width / 2, down - box.y - box.height / 2) / box.width
    assert covered[away < 0.7].std() < 0.4 * picture[away < 0.7].std()
    assert (covered == picture)[away > 0.78].all()


def test_nothing_of_a_face_is_left_in_a_video_and_in_a_snapshot_of_it(tmp_path):
    source = save_video(tmp_path / "in.mp4", 2)
    files = ["--output", str(tmp_path / "out.mp4"), "--capture", "1", "--folder", str(tmp_path / "folder")]
    main(["--source", str(source), *files, "--no-display", "--model", "tiny", "--anonymize", "mask"])
    eyes = (slice(100, 180), slice(150, 250))
    for frame in sampled_frames(open_reader(tmp_path / "out.mp4")):
        drawn = frame.picture_bgr[eyes][20:60, 30:70]  # within the box: outlines and labels lie around it
        assert drawn.std() < 12, frame.number
    raw = cv2.imread(str(tmp_path / "folder" / "picture_001.png"))
    assert raw[eyes].std() < 2 < photograph(0, (120, 60))[eyes].std()
