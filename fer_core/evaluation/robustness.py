"""How much accuracy a model loses on changed test images: moved, turned, blurred, lit otherwise, covered, or cropped as
a face detector would. Strengths are fixed, and nothing is drawn at random."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pandas as pd

from fer_core.data.dataset import Split
from fer_core.data.face_picture import network_input
from fer_core.evaluation.predict import predict_side_by_side
from fer_core.faces import Box, Detector
from fer_core.faces.framing import common_area, crop_face

Change = Callable[[np.ndarray], np.ndarray]
"""Takes a face, uint8 gray (side, side), and returns it changed, in the same size."""
Classify = Callable[[np.ndarray], np.ndarray]
"""Returns probabilities, float32 (n, labels), for faces uint8 (n, side, side, channels)."""

COUNTED = ("scale", "shift", "rotation", "blur", "gamma", "JPEG")
"""What the mean loss is taken over. The others take away what an emotion is seen by, and stand apart."""
_ENLARGED, _MARGIN = 4, 0.5
_SAME_FACE = 0.25
"""A box that shares less with the picture is something else in it."""


def _moved(*, scale: float = 1.0, degrees: float = 0.0, right: float = 0.0, down: float = 0.0) -> Change:
    """Returns a change of scale, angle and position (in sides) about the centre; what was outside is mirrored in."""

    def change(face: np.ndarray) -> np.ndarray:
        side = len(face)
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, scale)
        matrix[:, 2] += side * right, side * down
        return cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    return change


def _with_gamma(exponent: float) -> Change:
    table = np.round(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return lambda face: table[face]


def _blurred(face: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(face, (0, 0), len(face) / 48, borderType=cv2.BORDER_REFLECT)


def _as_jpeg(face: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE)


def _covered(*, rows: tuple[float, float] = (0, 1), columns: tuple[float, float] = (0, 1)) -> Change:
    def change(face: np.ndarray) -> np.ndarray:
        (top, bottom), (left, right) = ([round(len(face) * part) for part in parts] for parts in (rows, columns))
        covered = face.copy()
        covered[top:bottom, left:right] = 128
        return covered

    return change


CONDITIONS: dict[str, dict[str, Change]] = {
    "scale": {"85%": _moved(scale=0.85), "115%": _moved(scale=1.15)},
    "shift": {
        "8% left": _moved(right=-0.08),
        "8% right": _moved(right=0.08),
        "8% up": _moved(down=-0.08),
        "8% down": _moved(down=0.08),
    },
    "rotation": {"20° left": _moved(degrees=20), "20° right": _moved(degrees=-20)},
    "blur": {"sigma 1 of 48 pixels": _blurred},
    "gamma": {"0.5": _with_gamma(0.5), "2": _with_gamma(2)},
    "JPEG": {"quality 30": _as_jpeg},
    "small face": {
        "24 pixels": lambda face: cv2.resize(cv2.resize(face, (24, 24), interpolation=cv2.INTER_AREA), face.shape)
    },
    "half covered": {
        "upper": _covered(rows=(0, 0.5)),
        "lower": _covered(rows=(0.5, 1)),
        "left": _covered(columns=(0, 0.5)),
        "right": _covered(columns=(0.5, 1)),
    },
}
"""What is done to the test images, and how strongly."""


def robustness(
    classifiers: Sequence[Classify], split: Split, truth: np.ndarray, detectors: Sequence[Detector]
) -> pd.DataFrame:
    """Returns a row for each condition: condition, strength, images, accuracy (0..1), lost and margin (in points).

    `lost` is against the same images unchanged; `margin` is half the width of its 95 % interval, paired. Under
    "framing" the test images are enlarged on plain gray, and only faces that the detector finds are counted.

    Args:
        classifiers: of one model, one for each thread.
        split: n images.
        truth: int64 (n,), their classes as positions in the model's labels.
        detectors: whose framing is tried.
    """
    images = split.images(slice(None))
    faces, channels = images[..., 0], images.shape[-1]
    before = _right(classifiers, images, truth)
    rows = [_row("none", "", before, before)]
    for condition, changes in CONDITIONS.items():
        for strength, change in changes.items():
            changed = _with_channels([change(face) for face in faces], channels)
            rows.append(_row(condition, strength, _right(classifiers, changed, truth), before))
    for detector in detectors:
        found, crops = _cropped_by(detector, faces)
        if found:
            right = _right(classifiers, _with_channels(crops, channels), truth[found])
            rows.append(_row("framing", detector.name, right, before[found]))
    return pd.DataFrame(rows)


def mean_loss(table: pd.DataFrame) -> float:
    """Returns the points lost on average over `COUNTED`, each of which counts once."""
    return float(table.groupby("condition")["lost"].mean()[list(COUNTED)].mean())


def _row(condition: str, strength: str, right: np.ndarray, before: np.ndarray) -> dict[str, object]:
    lost = 100 * (before.astype(float) - right)
    found = {"condition": condition, "strength": strength, "images": len(right), "accuracy": right.mean()}
    return found | {"lost": lost.mean(), "margin": 1.96 * lost.std() / np.sqrt(len(lost))}


def _right(classifiers: Sequence[Classify], images: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return predict_side_by_side(classifiers, images).argmax(axis=1) == truth


def _with_channels(faces: Sequence[np.ndarray], channels: int) -> np.ndarray:
    return np.repeat(np.stack(faces)[..., np.newaxis], channels, axis=-1)


def _cropped_by(detector: Detector, faces: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """Returns which faces the detector finds, and what it crops: uint8 (side, side) each."""
    side = faces.shape[1]
    large, edge = _ENLARGED * side, round(_MARGIN * _ENLARGED * side)
    whole = Box(edge, edge, large, large)
    found, crops = [], []
    for position, face in enumerate(faces):
        enlarged = cv2.resize(face, (large, large), interpolation=cv2.INTER_CUBIC)
        frame = cv2.copyMakeBorder(enlarged, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=128)
        boxes = [one.box for one in detector.find(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))]
        best = max(boxes, key=lambda box: common_area(box, whole), default=None)
        if best is not None and common_area(best, whole) > _SAME_FACE * large**2:
            found.append(position)
            crops.append(network_input(crop_face(frame, best, framing=detector.framing), side=side)[..., 0])
    return found, crops
