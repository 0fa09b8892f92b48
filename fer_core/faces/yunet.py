"""The detector `yunet`: YuNet (Wu and others, Machine Intelligence Research 2023) in OpenCV's `FaceDetectorYN`.

Its file is no part of the project: 230 kB under the MIT licence, from OpenCV's model zoo.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import ArtifactError
from fer_core.faces import Face
from fer_core.faces.framing import Framing, Shrunk, largest_first, shrunk
from fer_core.paths import Paths, Published, expanded, fetched

FRAMING = Framing(scale=1.105, right=-0.005, down=-0.028)
"""Medians over 3,436 training images of FER-2013, of which 92.4 % were found again. The reference length is the one
whose scales spread least (middle half, in parts of the median): geometric mean 0.153, arithmetic mean 0.153, height
0.157, width 0.166 (python benchmarks/framing.py relation)."""
WIDTH = 320
"""Twice the width takes four times the time; of the training images, which have no surroundings, 97.5 % were then found
instead of 92.5 %, of the people in real clips all at either (the same benchmark: choice, clips, speed)."""
MIN_SCORE = 0.6
"""Real faces in real pictures score 0.89 and more; training images of FER-2013, cut off at the chin, often less."""
OVERLAP = 0.3
"""Of two boxes that overlap more than this (intersection over union) the better one counts."""
_FEWEST_PIXELS = 33
"""Of a side of up to 32 pixels OpenCV 4.14 makes a feature map one cell wide and reads memory beside it: another answer
each time, now and then a face (in 30 calls on one gray picture, up to 19 answers; from 33 pixels on always one)."""
_MAX_BYTES = 16_000_000
_BY_HAND = "Fetch it by hand and name it with --detector-model or $FER_YUNET, or take --detector haar."
_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/26cc381e4d2594bb9f47a26eb8fd96c94a13660d/models"
_TRIAL_SECONDS = 60
_TRIAL = """
import sys, cv2, numpy
model = numpy.fromfile(sys.argv[1], numpy.uint8)
detector = cv2.FaceDetectorYN.create("onnx", model, numpy.empty(0, numpy.uint8), (64, 64))
detector.detect(numpy.zeros((64, 64, 3), numpy.uint8))
"""


YUNET = Published(
    name="face_detection_yunet_2026may.onnx",
    url=f"{_ZOO}/face_detection_yunet/face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
)


def make(*, paths: Paths, model_file: Path | None, width: int | None, may_download: bool) -> "YuNetDetector":
    """Returns the detector.

    Raises:
        ArtifactError: there is no file of it and none may be downloaded, or the file is not YuNet.
        SourceError: the download failed.
    """
    path = find_file(paths=paths, model_file=model_file, may_download=may_download)
    if path is None:
        raise ArtifactError(
            "There is no file of the detector yunet.",
            hint="Start with --detector yunet, which downloads it once; --detector-model or $FER_YUNET names one.",
        )
    check_loadable(path)
    return YuNetDetector(path, width or WIDTH)


class YuNetDetector:
    """Finds faces, also turned ones, with a score. For one thread at a time."""

    name = "yunet"
    framing = FRAMING

    def __init__(self, path: Path, width: int):
        self._width, self._size = width, (width, width)
        # From memory: OpenCV tells the format by the file's ending, and cannot open every path on Windows.
        model = np.fromfile(path, np.uint8)
        self._network = cv2.FaceDetectorYN.create(
            "onnx", model, np.empty(0, np.uint8), self._size, score_threshold=MIN_SCORE, nms_threshold=OVERLAP
        )

    def find(self, frame_bgr: np.ndarray) -> list[Face]:
        """Returns the faces, largest first.

        Args:
            frame_bgr: uint8, BGR (height, width, 3) or gray (height, width).
        """
        if frame_bgr.size == 0:
            return []
        small = shrunk(frame_bgr, self._width)
        picture = small.picture
        down, across = (max(0, _FEWEST_PIXELS - side) for side in picture.shape[:2])
        if down or across:  # filled up with black, as OpenCV does it
            picture = cv2.copyMakeBorder(picture, 0, down, 0, across, cv2.BORDER_CONSTANT)
        size = (picture.shape[1], picture.shape[0])
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size
        _, rows = self._network.detect(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture)
        if rows is None:
            return []
        rows = rows[np.isfinite(rows).all(axis=1)].tolist()
        return largest_first(self._face(row, small) for row in rows)

    def _face(self, row: list[float], small: Shrunk) -> Face:
        points = (small.in_frame(x, y, 0, 0)[:2] for x, y in zip(row[4:14:2], row[5:14:2], strict=True))
        landmarks = tuple(value for point in points for value in point)
        return Face(small.in_frame(*row[:4]), min(row[-1], 1.0), _roll(row[4:8]), landmarks)


def _roll(eyes: list[float]) -> float:
    """Returns by how many degrees the line through the eyes is turned; `eyes` are x and y of each, leftmost first."""
    return math.degrees(math.atan2(eyes[3] - eyes[1], eyes[2] - eyes[0]))


def check_loadable(path: Path) -> None:
    """Raises ArtifactError unless OpenCV can load the file and detect with it.

    The file as published needs no trial. Any other gets one in a process of its own, because OpenCV's reader does not
    refuse every damaged file: some of them end the process with a segmentation fault.
    """
    if path.stat().st_size <= _MAX_BYTES and (YUNET.is_at(path) or _loads_in_another_process(path)):
        return
    raise ArtifactError(
        f"{path} is not a YuNet face detector that OpenCV {cv2.__version__} can load.",
        hint=f"Take {YUNET.name} (--detector yunet downloads it), or --detector haar.",
    )


def _loads_in_another_process(path: Path) -> bool:
    # -P: a cv2.py in the working directory is not what is meant.
    command = [sys.executable, "-P", "-c", _TRIAL, str(path)]
    try:
        return subprocess.run(command, capture_output=True, timeout=_TRIAL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def find_file(
    *,
    paths: Paths,
    model_file: Path | None = None,
    may_download: bool = False,
    published: Published = YUNET,
) -> Path | None:
    """Returns the file: as given, by $FER_YUNET, from the cache, or downloaded into it; None where it may not be.

    Raises:
        ArtifactError: the file that was named is not there.
        SourceError: the download failed; nothing is left behind.
    """
    named_by = "--detector-model" if model_file else "$FER_YUNET"
    if named := model_file or os.environ.get("FER_YUNET"):
        path = expanded(named)
        if path.is_file():
            return path
        raise ArtifactError(
            f"{named_by} names {path}, which is {'no file' if path.exists() else 'not there'}.",
            hint="Name YuNet's .onnx file, take --detector yunet to have it downloaded, or --detector haar.",
        )
    folder = paths.cache / "detectors"
    cached = folder / published.name
    if cached.is_file() and published.is_at(cached):
        return cached
    return download(published, folder) if may_download else None


def download(published: Published, folder: Path) -> Path:
    """Returns the file, downloaded into the folder under its name once its checksum is right. Raises SourceError."""
    return fetched(published, folder, hint=_BY_HAND)
