"""From an uploaded picture to what its result page shows: for each face, each step from the crop to the answer.

Everything is made for one answer and kept nowhere; pictures go into the page itself, as data.
"""

import base64
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from itsdangerous import TimestampSigner

from fer_core.data.face_picture import gray, network_input
from fer_core.faces.face import Box
from fer_core.faces.framing import crop_face, square_of
from fer_core.live.canvas import Heat, blend_heat
from fer_core.live.classifier import framing_for
from fer_core.live.occlusion import occlusion_map
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import FacePredictor

Finding = Literal["auto", "find", "given"]

SHOWN_PIXELS = 1280
"""Of the longer side of the picture that is shown."""
KEPT_PIXELS = 256
"""Of a side of the crop that may be kept for training: more than any network here takes."""
_STEP_PIXELS = 192
_MOST_HEAT_MAPS = 12
MOST_FACES = 50
"""That are shown of one picture, the largest: each is five pictures in the page."""
_FACE_ALREADY_PIXELS = 256
"""A picture that is no larger, about square, and in which no face is found, is most likely cut out already."""


@dataclass(frozen=True)
class FaceView:
    """What is shown of one face. Pictures are data: addresses; `crop_signed` is what a correction sends back."""

    prediction: Prediction
    square: Box
    """What of the picture the network saw, in pixels of the picture; may reach outside it."""
    crop: str
    gray: str
    network: str
    heat: str | None
    """The network's picture with what it rests on, coloured; None where nothing stands out, or there are many faces."""
    crop_signed: str


@dataclass(frozen=True)
class PictureView:
    """What is shown of one picture. Boxes are in pixels of `width` x `height`, also where `shown` is smaller."""

    shown: str
    width: int
    height: int
    faces: list[FaceView]
    found: int
    """Faces; more than are shown in a crowd."""
    is_given: bool
    """Whether the whole picture was taken for one face."""
    guessed: bool
    """Whether nobody said so."""


def view(predictor: FacePredictor, picture: np.ndarray, *, finding: Finding, signer: TimestampSigner) -> PictureView:
    """Returns what is shown of a picture, uint8, gray (height, width), BGR or BGRA."""
    predictions = [] if finding == "given" else predictor.read(picture)
    is_given = finding == "given" or (finding == "auto" and not predictions and _is_like_a_face(picture))
    if is_given:
        predictions = predictor.read_given(picture)
    steps = _Steps(predictor, picture, signer, is_given=is_given)
    return PictureView(
        shown=data_address(_at_most(picture, SHOWN_PIXELS), ".jpg"),
        width=picture.shape[1],
        height=picture.shape[0],
        faces=[
            steps.of(prediction, with_heat=place < _MOST_HEAT_MAPS)
            for place, prediction in enumerate(_largest(predictions))
        ],
        found=len(predictions),
        is_given=is_given,
        guessed=is_given and finding == "auto",
    )


def _largest(predictions: list[Prediction]) -> list[Prediction]:
    """Returns the largest faces, as many as are shown, in the order in which they were found."""
    by_size = sorted(predictions, key=lambda prediction: prediction.box.width * prediction.box.height, reverse=True)
    shown = {id(prediction) for prediction in by_size[:MOST_FACES]}
    return [prediction for prediction in predictions if id(prediction) in shown]


class _Steps:
    """The steps from one picture to the answers of its faces."""

    def __init__(self, predictor: FacePredictor, picture: np.ndarray, signer: TimestampSigner, *, is_given: bool):
        self._predictor, self._picture, self._signer, self._is_given = predictor, picture, signer, is_given
        self._gray = gray(picture)

    def of(self, prediction: Prediction, *, with_heat: bool) -> FaceView:
        classifier = self._predictor.classifier
        square, crop_gray = self._crop(prediction)
        face = network_input(crop_gray, side=classifier.side, channels=classifier.channels)
        kept = base64.b64encode(_encoded(_at_most(crop_gray, KEPT_PIXELS), ".png"))
        return FaceView(
            prediction=prediction,
            square=square,
            crop=data_address(_at_most(self._colour_crop(square), _STEP_PIXELS), ".jpg"),
            gray=data_address(_at_most(crop_gray, _STEP_PIXELS), ".png"),
            network=data_address(face[:, :, 0], ".png"),
            heat=self._heat(face, prediction) if with_heat else None,
            crop_signed=self._signer.sign(kept).decode(),
        )

    def _crop(self, prediction: Prediction) -> tuple[Box, np.ndarray]:
        if self._is_given:
            return prediction.box, self._gray
        framing = framing_for(self._predictor.detector, self._predictor.classifier)
        return square_of(prediction.box, framing), crop_face(self._gray, prediction.box, framing=framing)

    def _colour_crop(self, square: Box) -> np.ndarray:
        """What lies in the square, in colour, as far as it is inside the picture."""
        height, width = self._picture.shape[:2]
        left, top = (min(max(0, int(start)), limit - 1) for start, limit in ((square.x, width), (square.y, height)))
        right = max(left + 1, min(width, round(square.x + square.width)))
        bottom = max(top + 1, min(height, round(square.y + square.height)))
        return self._picture[top:bottom, left:right]

    def _heat(self, face: np.ndarray, prediction: Prediction) -> str | None:
        classifier = self._predictor.classifier
        values = occlusion_map(classifier, face, classifier.labels.index(prediction.label))
        if not values.any():
            return None
        picture_bgr = cv2.cvtColor(face[:, :, 0], cv2.COLOR_GRAY2BGR)
        larger = cv2.resize(picture_bgr, (_STEP_PIXELS, _STEP_PIXELS), interpolation=cv2.INTER_CUBIC)
        blend_heat(larger, Heat(values, Box(0, 0, _STEP_PIXELS, _STEP_PIXELS)))
        return data_address(larger, ".png")


def data_address(picture: np.ndarray, suffix: str) -> str:
    """Returns a picture as a data: address, JPEG or PNG by the suffix."""
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(_encoded(picture, suffix)).decode()}"


def _encoded(picture: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def _at_most(picture: np.ndarray, pixels: int) -> np.ndarray:
    """Returns the picture, made smaller where its longer side has more pixels."""
    factor = pixels / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _is_like_a_face(picture: np.ndarray) -> bool:
    height, width = picture.shape[:2]
    return max(height, width) <= _FACE_ALREADY_PIXELS and 0.75 <= width / height <= 1.33
