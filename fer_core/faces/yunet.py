"""The detector `yunet`: YuNet (Wu and others, Machine Intelligence Research 2023) in OpenCV's `FaceDetectorYN`."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import ArtifactError
from fer_core.faces.face import DetectorOptions, Face
from fer_core.faces.fetching import YUNET, model_file
from fer_core.faces.framing import Framing
from fer_core.faces.shrinking import largest_first, shrunk
from fer_core.store.files import file_sha256

FRAMING = Framing(scale=1.105, right=-0.005, down=-0.028)
"""Medians over 3,436 training images of FER-2013, of which 92.4 % were found again. The reference length is the one
whose scales spread least (middle half, in parts of the median): geometric mean 0.153, arithmetic mean 0.153, height
0.157, width 0.166 (python benchmarks/framing.py relation)."""
WIDTH = 320
"""Twice the width takes four times the time; of the training images, which have no surroundings, 97.5 % were then found
instead of 92.5 %, of the people in real clips all at either (the same benchmark: choice, clips, speed)."""
MIN_SCORE = 0.6
"""Real faces in real pictures score 0.89 and more; training images of FER-2013, cut off at the chin, often less."""
_OVERLAP = 0.3
"""Of two boxes that overlap more than this (intersection over union) the better one counts."""
_FEWEST_PIXELS = 33
"""Of a side of up to 32 pixels OpenCV 4.14 makes a feature map one cell wide and reads memory beside it: another answer
each time, now and then a face (in 30 calls on one gray picture, up to 19 answers; from 33 pixels on always one)."""
_MAX_BYTES = 16_000_000
_TRIAL_SECONDS = 60

_TRIAL = """
import sys, cv2, numpy
model = numpy.fromfile(sys.argv[1], numpy.uint8)
detector = cv2.FaceDetectorYN.create("onnx", model, numpy.empty(0, numpy.uint8), (64, 64))
detector.detect(numpy.zeros((64, 64, 3), numpy.uint8))
"""


def make(options: DetectorOptions) -> "YuNetDetector":
    """Returns the detector.

    Raises:
        ArtifactError: there is no file of it and none may be downloaded, or the file is not YuNet.
        SourceError: the download failed.
    """
    path = model_file(options)
    if path is None:
        raise ArtifactError(
            "There is no file of the detector yunet.",
            hint="Start with --detector yunet, which downloads it once; --detector-model or $FER_YUNET names one.",
        )
    check_loadable(path)
    return YuNetDetector(path, width=options.width or WIDTH, min_face_pixels=options.min_face_pixels)


class YuNetDetector:
    """Finds faces, also turned ones, with a score. For one thread at a time."""

    name = "yunet"
    framing = FRAMING

    def __init__(self, path: Path, *, width: int, min_face_pixels: int):
        self._width = width
        self._min_face_pixels = min_face_pixels
        self._size = (width, width)
        # From memory: OpenCV tells the format by the file's ending, and cannot open every path on Windows.
        model = np.fromfile(path, np.uint8)
        self._network = cv2.FaceDetectorYN.create(
            "onnx", model, np.empty(0, np.uint8), self._size, score_threshold=MIN_SCORE, nms_threshold=_OVERLAP
        )

    def find(self, frame_bgr: np.ndarray) -> list[Face]:
        """Returns the faces, largest first.

        Args:
            frame_bgr: uint8, BGR (height, width, 3) or gray (height, width).
        """
        if frame_bgr.size == 0:
            return []
        small = shrunk(frame_bgr, self._width)
        picture = _no_side_too_short(small.picture)
        self._resize((picture.shape[1], picture.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture)
        if rows is None:
            return []
        rows = rows[np.isfinite(rows).all(axis=1)].tolist()
        faces = (Face(small.in_frame(*row[:4]), min(row[-1], 1.0)) for row in rows)
        return largest_first(faces, self._min_face_pixels)

    def _resize(self, size: tuple[int, int]) -> None:
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size


def _no_side_too_short(picture: np.ndarray) -> np.ndarray:
    """Returns the picture, filled up with black on the right and below as OpenCV does it."""
    down, across = (max(0, _FEWEST_PIXELS - side) for side in picture.shape[:2])
    return cv2.copyMakeBorder(picture, 0, down, 0, across, cv2.BORDER_CONSTANT) if down or across else picture


def check_loadable(path: Path) -> None:
    """Raises ArtifactError unless OpenCV can load the file and detect with it.

    The file as published needs no trial. Any other gets one in a process of its own, because OpenCV's reader does not
    refuse every damaged file: some of them end the process with a segmentation fault.
    """
    if path.stat().st_size <= _MAX_BYTES and (file_sha256(path) == YUNET.sha256 or _loads_in_another_process(path)):
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
