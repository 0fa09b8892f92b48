"""From an uploaded picture to what its result page shows: for each face, each step from the crop to the answer.

Everything is made for one answer and kept nowhere; pictures go into the page itself, as data.
"""

import base64
from typing import Any, Literal

import cv2
import numpy as np
from itsdangerous import TimestampSigner

from fer_core.data.face_picture import gray
from fer_core.faces import Box
from fer_core.faces.framing import Framing, crop_face, square_of
from fer_core.live.classifier import Classifier, face_input, framing_for
from fer_core.live.occlusion import occlusion_map
from fer_core.live.overlay import Heat, blend_heat
from fer_core.live.prediction import EmotionPredictor, Prediction

Finding = Literal["auto", "find", "given"]

SHOWN_PIXELS = 1280
"""Of the longer side of the picture that is shown."""
KEPT_PIXELS = 256
"""Of a side of the crop that may be kept for training: more than any network here takes."""
_STEP_PIXELS = 192
_MOST_HEAT_MAPS = 12
MOST_FACES = 50
"""That are shown of one picture, the largest: each is five pictures in the page."""
FACE_ALREADY_PIXELS = 256
"""A picture that is no larger, about square, and in which no face is found, is most likely cut out already."""


def picture_shown(
    predictor: EmotionPredictor, picture: np.ndarray, *, finding: Finding, signer: TimestampSigner
) -> dict[str, Any]:
    """Returns what is shown of a picture, uint8, gray (height, width), BGR or BGRA.

    Boxes are in pixels of `width` x `height`, also where the picture `shown` is smaller. `found` are more faces than
    `faces` in a crowd. `is_given`: the whole picture was taken for one face; `guessed`: and nobody said so.
    """
    predictions = [] if finding == "given" else predictor.read_picture(picture)
    is_given = finding == "given" or (finding == "auto" and not predictions and _is_like_a_face(picture))
    if is_given:
        predictions = predictor.read_picture(picture, faces="given")
    faces, picture_gray = [], gray(picture)
    framing = framing_for(predictor.detector, predictor.classifier)
    for prediction in predictions[:MOST_FACES]:
        square = prediction.box if is_given else square_of(prediction.box, framing)
        crop_gray = picture_gray if is_given else _cut(picture_gray, prediction, framing)
        kept = _encoded(_at_most(crop_gray, KEPT_PIXELS), "png")
        label = prediction.label if len(faces) < _MOST_HEAT_MAPS else None
        crop = picture if is_given else _cut(picture, prediction, framing)
        face = face_input(crop_gray if predictor.classifier.colours == "gray" else crop, predictor.classifier)
        faces.append(
            _steps(predictor.classifier, _inside(picture, square), crop_gray, face, label)
            | {"prediction": prediction, "crop_signed": signer.sign(kept).decode()}
        )
    return {
        "shown": _data_address(_at_most(picture, SHOWN_PIXELS), "jpeg"),
        "width": picture.shape[1],
        "height": picture.shape[0],
        "faces": faces,
        "found": len(predictions),
        "is_given": is_given,
        "guessed": is_given and finding == "auto",
    }


def _cut(picture: np.ndarray, prediction: Prediction, framing: Framing) -> np.ndarray:
    return crop_face(picture, prediction.box, framing=framing, roll=prediction.roll or 0.0)


def _steps(
    classifier: Classifier, crop: np.ndarray, crop_gray: np.ndarray, face: np.ndarray, label: str | None
) -> dict[str, str | None]:
    """Returns the pictures from the crop to what the network sees; with a label, also what in it speaks for that."""
    return {
        "crop": _data_address(_at_most(crop, _STEP_PIXELS), "jpeg"),
        "gray": _data_address(_at_most(crop_gray, _STEP_PIXELS), "png"),
        "network": _data_address(_seen(face, classifier), "png"),
        "heat": _heat(classifier, face, label) if label else None,
    }


def _seen(face: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Returns what the network sees as a picture: gray, or BGR."""
    if classifier.colours == "gray":
        return face[:, :, 0]
    return face if classifier.colours == "bgr" else cv2.cvtColor(face, cv2.COLOR_RGB2BGR)


def _inside(picture: np.ndarray, square: Box) -> np.ndarray:
    """Returns what lies in the square, in colour, as far as it is inside the picture."""
    height, width = picture.shape[:2]
    left, top = (min(max(0, int(start)), limit - 1) for start, limit in ((square.x, width), (square.y, height)))
    right = max(left + 1, min(width, round(square.x + square.width)))
    bottom = max(top + 1, min(height, round(square.y + square.height)))
    return picture[top:bottom, left:right]


def _heat(classifier: Classifier, face: np.ndarray, label: str) -> str | None:
    """Returns the network's picture with what it rests on, coloured; None where nothing stands out."""
    values = occlusion_map(classifier, face, classifier.labels.index(label))
    if not values.any():
        return None
    size = (_STEP_PIXELS, _STEP_PIXELS)
    larger = cv2.resize(cv2.cvtColor(face[:, :, 0], cv2.COLOR_GRAY2BGR), size, interpolation=cv2.INTER_CUBIC)
    blend_heat(larger, Heat(values, Box(0, 0, *size)))
    return _data_address(larger, "png")


def _data_address(picture: np.ndarray, kind: str) -> str:
    return f"data:image/{kind};base64,{_encoded(picture, kind).decode()}"


def _encoded(picture: np.ndarray, kind: str) -> bytes:
    return base64.b64encode(cv2.imencode(f".{kind}", picture)[1])


def _at_most(picture: np.ndarray, pixels: int) -> np.ndarray:
    """Returns the picture, made smaller where its longer side has more pixels."""
    factor = pixels / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _is_like_a_face(picture: np.ndarray) -> bool:
    height, width = picture.shape[:2]
    return max(height, width) <= FACE_ALREADY_PIXELS and 0.75 <= width / height <= 1.33
