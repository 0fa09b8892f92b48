"""`predict_emotion`: the emotions in one picture, from Python. `EmotionPredictor` does the same for many.

Nothing is kept between calls: who reads many pictures keeps an `EmotionPredictor`.
"""

import inspect
import warnings
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from fer_core import faces as detectors
from fer_core.data.face_picture import UnreadablePictureError, decode_picture
from fer_core.data.regular_file import checked_status
from fer_core.errors import ConfigError, SourceError, did_you_mean
from fer_core.live.classifier import Runtime, make_classifier
from fer_core.live.prediction import UNSURE_BELOW, Prediction
from fer_core.live.predictor import FacePredictor, check_threshold
from fer_core.paths import Paths
from fer_core.store.architecture import PixelRange
from fer_core.store.model_files import find_model

Image = str | PathLike | bytes | bytearray | memoryview | np.ndarray
Colour = Literal["bgr", "rgb", "gray"]
Faces = Literal["find", "given"]

PHOTO_WIDTH = 640
"""Faces are looked for on a picture of at most this width. Twice that of a video, since a photograph may hold many
small faces; on 1000 and more, yunet loses or doubles a face that fills the picture."""


def predict_emotion(
    image: Image, *, colour: Colour = "bgr", faces: Faces = "find", detector: str = "auto", **settings
) -> list[Prediction]:
    """Returns a prediction for each face in a picture, the largest first; an empty list where there is none.

    Loads model and detector anew at each call (some 50 ms): for many pictures, keep an `EmotionPredictor`.

    Args:
        image: a file's path, a file's bytes, or a uint8 array (height, width, 3 or 4), or (height, width) where
            `colour` is "gray".
        colour: the order of an array's channels. Files say theirs.
        faces: "find" looks for faces; "given" takes the picture for one face, cut out as in FER-2013.
        detector, settings: as in `EmotionPredictor.open`.

    Raises:
        ConfigError: an array, a colour or a setting that cannot be used. SourceError: no readable picture.
        ArtifactError: no usable model.
    """
    _check_choice("faces", faces, get_args(Faces))
    picture = picture_of(image, colour)
    predictor = EmotionPredictor.open(detector=detector if faces == "find" else None, **settings)
    return predictor.read(picture, colour="gray" if picture.ndim == 2 else "bgr", faces=faces)


class EmotionPredictor:
    """Reads pictures with a model and a detector that are loaded once. Not for two threads at once."""

    def __init__(self, predictor: FacePredictor):
        self._predictor = predictor

    @classmethod
    def open(
        cls,
        *,
        model: str | None = None,
        labels_file: Path | None = None,
        pixels: PixelRange | None = None,
        detector: str | None = "auto",
        detector_model: Path | None = None,
        threshold: float = UNSURE_BELOW,
        runtime: Runtime = "litert",
        paths: Paths | None = None,
        detection_width: int = PHOTO_WIDTH,
    ) -> "EmotionPredictor":
        """Returns a predictor. Raises as `predict_emotion`.

        Args:
            model: a run's id, a .h5 or .keras file, "best" or "tiny", which came along; the model in use if None.
            labels_file, pixels: of a model from elsewhere: its labels as JSON, and the grey values it was trained on.
                What is worth knowing of such a model comes as a UserWarning.
            detector: "haar", "yunet", or "auto": yunet where its file (`detector_model`, $FER_YUNET, cache) is there;
                None: for given faces alone.
            threshold: a prediction with less confidence is unsure.
            runtime: "litert", "int8" (the export with 8-bit weights that a run may have) or "keras".
            detection_width: in pixels; a larger one finds smaller faces: give 1280 for a crowd.
        """
        check_threshold(threshold)
        paths = paths or Paths.from_environment()
        found = find_model(model, paths, labels_file=labels_file, pixels=pixels)
        if found.note:
            _warn(found.note)
        classifier = make_classifier(found, paths, runtime=runtime, report=_warn)
        finder = None
        if detector is not None:
            finder = detectors.make_detector(detector, paths=paths, model_file=detector_model, width=detection_width)
        return cls(FacePredictor(finder, classifier, threshold=threshold))

    def read(self, image: Image, *, colour: Colour = "bgr", faces: Faces = "find") -> list[Prediction]:
        """Returns a prediction for each face in a picture; arguments and errors as in `predict_emotion`."""
        _check_choice("faces", faces, get_args(Faces))
        picture = picture_of(image, colour)
        return self._predictor.read(picture) if faces == "find" else self._predictor.read_given(picture)


def picture_of(image: Image, colour: Colour = "bgr") -> np.ndarray:
    """Returns any image as uint8, gray (height, width), BGR or BGRA. Raises ConfigError, SourceError."""
    _check_choice("colour", colour, get_args(Colour))
    if isinstance(image, np.ndarray):
        return _picture_of_array(image, colour)
    name = "The picture"
    try:
        if isinstance(image, str | PathLike):
            name = str(image)
            checked_status(Path(image))
            image = Path(image).read_bytes()
        if isinstance(image, bytes | bytearray | memoryview):
            return decode_picture(bytes(image))
    except (OSError, UnreadablePictureError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{name} cannot be read: {reason}.", hint="Give a JPEG, PNG, BMP or WebP picture.") from None
    raise ConfigError(
        f"The image is of type {type(image).__module__}.{type(image).__qualname__}.",
        hint="Give a path, a file's bytes or a uint8 array; of a Pillow image: np.asarray(image.convert('RGB')) "
        "with colour='rgb'.",
    )


def _picture_of_array(image: np.ndarray, colour: Colour) -> np.ndarray:
    if image.dtype != np.uint8:
        is_number = image.size > 0 and image.dtype.kind in "iufb"
        values = f" with values {image.min():g} to {image.max():g}" if is_number else ""
        raise ConfigError(
            f"The array is {image.dtype}{values}; it must be uint8, 0 to 255.",
            hint="Convert it: (image * 255).round().astype('uint8') where it is 0..1, image.round().astype('uint8') "
            "where it is 0..255, (image >> 8).astype('uint8') for 16 bits.",
        )
    channels = (1,) if colour == "gray" else (3, 4)
    is_gray = image.ndim == 2 and colour == "gray"
    if image.size == 0 or not (is_gray or (image.ndim == 3 and image.shape[2] in channels)):
        raise ConfigError(
            f"The array has the shape {image.shape}, and colour is {colour!r}.",
            hint="It must be one picture: (height, width, 3 or 4) for 'bgr' or 'rgb', (height, width) for 'gray'.",
        )
    if colour == "gray":
        return image.reshape(image.shape[:2])
    to_bgr = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.cvtColor(image, to_bgr) if colour == "rgb" else image


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} cannot be {value!r}.", hint=did_you_mean(str(value), choices))


def _warn(sentence: str) -> None:
    """Warns at the line outside this package that called it, however deep inside it the sentence comes up."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("fer_core."):
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)
