"""Draws what was read over a frame: boxes, labels, bars, heat maps, the status line, badges, a message, the keys.

Text is Pillow's and is kept as small bitmaps; only what lies under a mark is blended, so that drawing takes about a
millisecond. Does not know windows or files.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_core.live.drawing import StampCache
from fer_core.live.face_marks import FaceMarks
from fer_core.live.heat_marks import Heat, blend_heat
from fer_core.live.lettering import Lettering
from fer_core.live.pen import Pen
from fer_core.live.status_marks import Status, draw_block, status_blocks

if TYPE_CHECKING:
    from fer_core.live.prediction import Prediction

__all__ = ["Heat", "Overlay", "Status"]


class Overlay:
    """Draws frame after frame: keeps rendered text, and on which side of a face its marks were."""

    def __init__(self, labels: Sequence[str]):
        """`labels`: the model's, which decide the colours of classes that are no emotions of ours."""
        self._stamps = StampCache()
        self._letters = Lettering(self._stamps)
        self._marks = FaceMarks(labels)

    def draw(
        self,
        picture_bgr: np.ndarray,
        predictions: Sequence["Prediction"],
        status: Status,
        heat: Mapping[int, Heat] | None = None,
    ) -> np.ndarray:
        """Returns a new picture of the same size with everything drawn in.

        Args:
            picture_bgr: uint8 (height, width, 3), or (height, width) where it is gray; is not changed.
            predictions: of this frame; boxes may reach outside it.
            heat: by person, the map of what mattered and the square of the frame that it belongs to.

        Returns:
            uint8 (height, width, 3), BGR.
        """
        pen = Pen(_copy_bgr(picture_bgr), self._stamps, self._letters)
        for one in (heat or {}).values():
            blend_heat(pen.canvas_bgr, one)
        blocks = status_blocks(pen, status)
        self._marks.draw(pen, predictions, [block.rect for block in blocks])
        for block in blocks:
            draw_block(pen, block)
        return pen.canvas_bgr


def _copy_bgr(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.array(picture, order="C")
    return cv2.cvtColor(picture.reshape(picture.shape[:2]), cv2.COLOR_GRAY2BGR)
