"""`Prediction`: what was read in one face. `predict_emotion` reads one picture, `EmotionPredictor` many.

Nothing is kept between calls: who reads many pictures keeps an `EmotionPredictor`.
"""

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import cv2
import numpy as np

from fer_core import faces as detectors
from fer_core.data.face_picture import UnreadablePictureError, decode_picture, gray
from fer_core.data.picture_header import PICTURES_READ
from fer_core.errors import ConfigError, SourceError, did_you_mean
from fer_core.faces import DETECT_EVERY, PHOTO_WIDTH, Box, Detector, Face
from fer_core.live.classifier import Classifier, Runtime, face_input, face_pictures, found_faces, make_classifier
from fer_core.paths import Paths, checked_status
from fer_core.store.architecture import Colours, PixelRange
from fer_core.store.model_files import find_model

if TYPE_CHECKING:
    from fer_core.live.frame import Shown

Image = str | PathLike | bytes | bytearray | memoryview | np.ndarray
Colour = Literal["bgr", "rgb", "gray"]
Faces = Literal["find", "given"]
_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Prediction:
    """One face's emotion.

    `box` is in pixels of the picture and may reach outside it. `probabilities` are calibrated, by label name, and sum
    to 1; `confidence` is that of `label`; `unsure` says that it is below the threshold. `person` numbers the people of
    a video from 1, and is None in a single picture. `roll`: the face was turned clockwise by so many degrees, which was
    undone before it was read; None where it was read as it is.

    So that they do not flicker in a video, `label` and `unsure` may lag behind the probabilities, by 0.3 s and a frame
    at most: then `label` is not the most probable one yet, or `unsure` not what its confidence says now.
    """

    box: Box
    label: str
    confidence: float
    probabilities: Mapping[str, float]
    unsure: bool
    person: int | None = None
    roll: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the prediction as plain values for JSON; the box as x, y, width, height in tenths of a pixel."""
        return {
            "person": self.person,
            "box": {name: round(float(value), 1) for name, value in self.box._asdict().items()},
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "unsure": self.unsure,
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
        }


class ShownLabel(NamedTuple):
    """What is shown of the probabilities: the number of the label, and whether it is unsure."""

    label: int
    is_unsure: bool


def make_prediction(
    box: Box,
    probabilities: np.ndarray,
    shown: ShownLabel,
    *,
    labels: Sequence[str],
    person: int | None = None,
    roll: float | None = None,
) -> Prediction:
    """Returns the prediction of one face from its calibrated probabilities, float (labels,), and what is shown."""
    plain = probabilities.tolist()
    by_label = dict(zip(labels, plain, strict=True))
    name, confidence = labels[shown.label], plain[shown.label]
    return Prediction(Box(*map(float, box)), name, confidence, by_label, shown.is_unsure, person, roll)


def shown_of(probabilities: np.ndarray, threshold: float) -> ShownLabel:
    """Returns what probabilities, float (labels,), say: the likeliest label, and whether it is below the threshold."""
    label = int(probabilities.argmax())
    return ShownLabel(label, is_unsure=not probabilities[label] >= threshold)


def check_threshold(threshold: float | None) -> None:
    """Raises ConfigError unless it is a probability."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"The threshold is {threshold:g}.", hint="It is a probability: between 0 and 1.")


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
    return predictor.read_picture(picture, faces=faces)


class EmotionPredictor:
    """Reads pictures with a model and a detector that are loaded once. Not for two threads at once."""

    def __init__(self, detector: Detector | None, classifier: Classifier, *, threshold: float | None = None):
        """`detector` may be None where all pictures are faces already."""
        check_threshold(threshold)
        self.detector, self.classifier, self._threshold = detector, classifier, threshold

    @classmethod
    def open(
        cls,
        *,
        model: str | None = None,
        labels_file: Path | None = None,
        pixels: PixelRange | None = None,
        colours: Colours | None = None,
        detector: str | None = "auto",
        detector_model: Path | None = None,
        threshold: float | None = None,
        prior: float | None = None,
        runtime: Runtime = "litert",
        paths: Paths | None = None,
        detection_width: int = PHOTO_WIDTH,
    ) -> "EmotionPredictor":
        """Returns a predictor. Raises as `predict_emotion`.

        Args:
            model: a run's id, a .h5, .keras or .onnx file, best, tiny or ferplus; the model in use if None.
            labels_file, pixels, colours: of a model from elsewhere: its labels, the grey values it was trained on, and
                what its three channels are ("rgb", "bgr" or "gray"). What is worth knowing of such a model comes as a
                UserWarning.
            detector: "haar", "yunet", or "auto": yunet where its file (`detector_model`, $FER_YUNET, cache) is there;
                None: for given faces alone.
            threshold: a prediction with less confidence is unsure; by default what the model's validation images ask
                for, and 0.4 at least.
            prior: how far the frequencies of the emotions in training are taken out of the answers: 0 not at all, 1 all
                are equally likely; by default as the model was saved.
            runtime: "litert", "int8" (the export with 8-bit weights that a run may have), "onnx" or "keras".
            detection_width: in pixels; a larger one finds smaller faces: give 1280 for a crowd.
        """
        paths = paths or Paths.from_environment()
        found = find_model(model, paths, labels_file=labels_file, pixels=pixels, colours=colours)
        if found.note:
            _warn(found.note)
        classifier = make_classifier(found, paths, runtime=runtime, prior=prior, report=_warn)
        finder = None
        if detector is not None:
            finder = detectors.make_detector(detector, paths=paths, model_file=detector_model, width=detection_width)
        return cls(finder, classifier, threshold=threshold)

    def read(self, image: Image, *, colour: Colour = "bgr", faces: Faces = "find") -> list[Prediction]:
        """Returns a prediction for each face in a picture; arguments and errors as in `predict_emotion`."""
        return self.read_picture(picture_of(image, colour), faces=faces)

    def read_picture(self, picture: np.ndarray, *, faces: Faces = "find") -> list[Prediction]:
        """Returns a prediction for each face, the largest first, of a decoded picture.

        `picture`: uint8, gray (height, width), BGR or BGRA, any size. Of a given face the box is the whole picture.
        Raises ConfigError for faces to be found without a detector.
        """
        _check_choice("faces", faces, get_args(Faces))
        if faces == "given":
            height, width = picture.shape[:2]
            found = [Face(Box(0, 0, width, height), 1.0)]
            pictures = face_input(picture, self.classifier)[np.newaxis]
        else:
            picture_gray, detector = gray(picture), self._needed_detector()
            found = found_faces(picture, picture_gray, detector, self.classifier)
            if not found:
                return []
            seen = picture_gray if self.classifier.colours == "gray" else picture
            pictures = face_pictures(seen, found, detector, self.classifier)
        rows, labels = self.classifier.classify(pictures), self.classifier.labels
        threshold = self.classifier.unsure_below if self._threshold is None else self._threshold
        shown = [shown_of(row, threshold) for row in rows]
        return [
            make_prediction(face.box, *one, labels=labels, roll=face.roll)
            for face, *one in zip(found, rows, shown, strict=True)
        ]

    def stream(
        self, source: int | str = 0, *, smoothing_seconds: float = 0.5, detect_every: int = DETECT_EVERY
    ) -> Iterator["Shown"]:
        """Yields each frame of a camera, a video, a stream or a folder of pictures, with its `predictions`.

        People of a video are numbered, and steadied over time. Closes the source when the loop ends, also by `break`.
        `source`, errors: as `--source` takes it; a camera drops what nobody was quick enough to take.
        """
        from fer_core.live.frame import Shown
        from fer_core.live.predictor import LivePredictor
        from fer_core.live.sources import open_source

        live = LivePredictor(
            self._needed_detector(),
            self.classifier,
            threshold=self._threshold,
            smoothing_seconds=smoothing_seconds,
            detect_every=detect_every,
        )
        with contextlib.closing(open_source(str(source))) as opened:
            while not opened.ended:
                frame = opened.read(_WAIT_SECONDS)
                if frame is not None:
                    found = self.read_picture(frame.picture_bgr) if opened.is_still else live.read(frame)
                    yield Shown(frame, tuple(found), None, stage_seconds=live.stage_seconds)

    def _needed_detector(self) -> Detector:
        if self.detector is None:
            hint = "Open it with a detector, or say that the picture is a face already."
            raise ConfigError("This predictor has no detector, and cannot find faces.", hint=hint)
        return self.detector


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
        raise SourceError(f"{name} cannot be read: {reason}.", hint=f"Give a {PICTURES_READ} picture.") from None
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
