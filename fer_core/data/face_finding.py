"""Where the face is in each picture of a data set: in its box, where a detector finds it, or it is the whole picture.

Frames and aligns faces with the code of live reading, so that a network is trained on what it will see.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from fer_core import faces
from fer_core.config import TrainConfig
from fer_core.data.contents import Contents, Picture, Source
from fer_core.data.face_picture import UnreadablePictureError, gray
from fer_core.data.report import DataReport
from fer_core.data.tree import FaceBox
from fer_core.faces.framing import aligned, common_area, crop_face, find_faces, square_of
from fer_core.paths import Paths

CROP_PIXELS = 128
"""Pictures whose longer side has no more are faces already: FER-2013 and CK+ have 48, aligned RAF-DB 100."""
FILLED = 0.75
"""A face that takes so much of a picture's shorter side, framed as in FER-2013, is cut out already: augmentation moves
and scales crops by about as much as is left."""
_SAMPLE = 40
_SMALL_PIXELS = 256
"""A single picture that is no larger, and in which no face is found, is most likely one: the web page cuts out so."""
_NAMED = 3
_VERSION = 1
"""Raised whenever the same settings find or cut faces in another way."""
_USUAL = TrainConfig()

How = Literal["given", "detect"]


class CutOut(NamedTuple):
    """The face of a picture, uint8, gray (height, width) or BGR as it was read, None where the picture is left out.

    `found` is how many faces a detector found, None where none was asked; `is_aligned`: the face was turned upright.
    """

    face: np.ndarray | None
    found: int | None = None
    is_aligned: bool = False


class FaceDecision(NamedTuple):
    """How faces are found in the pictures of a source, and a sentence that says so and why."""

    how: How
    sentence: str = ""


@dataclass(frozen=True)
class FaceFinder:
    """How the settings of a training want faces to be found.

    `one_by_one`: the pictures are no data set, and each is judged by itself (those of the inbox).
    """

    config: TrainConfig = field(repr=False)
    paths: Paths
    one_by_one: bool = False
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)

    @classmethod
    def beside(cls, contents: Contents, config: TrainConfig, paths: Paths) -> "FaceFinder":
        """Returns how faces are found in single pictures that join a data set: aligned if its own are."""
        align = config.align_faces and contents.report.is_aligned
        return cls(config.model_copy(update={"align_faces": align}), paths, one_by_one=True)

    @property
    def settings_key(self) -> str:
        """Tells these settings apart from others; empty for the usual ones."""
        own, usual = (
            [getattr(config, name) for name in ("faces", "align_faces", "without_face", "several_faces")]
            for config in (self.config, _USUAL)
        )
        return "" if own == usual else repr(own)

    @property
    def key(self) -> str:
        """Changes whenever faces would be found or cut out in another way."""
        if self.config.faces == "given":
            return "given"
        detector = faces.detector_key(self.config.face_detector, paths=self.paths)
        return f"{_VERSION} {self.settings_key} {detector}"

    def cutter(self, source: Source) -> "Cutter":
        """Returns what cuts out the faces of a source; with `faces` auto, after a look at some of its pictures.

        Raises ArtifactError, SourceError, ConfigError where there is no such detector; as opening the source does.
        """
        if self.config.faces != "auto":
            return Cutter(self, FaceDecision(self.config.faces))
        return Cutter(self, FaceDecision("detect") if self.one_by_one else _decided(source, self))

    def detector(self) -> faces.Detector:
        """Returns the detector of this thread, made when it is first needed: no detector may be used by two."""
        if not hasattr(self._own, "detector"):
            name = self.config.face_detector
            self._own.detector = faces.make_detector(name, paths=self.paths, width=faces.PHOTO_WIDTH)
        return self._own.detector


class Cutter:
    """Cuts out the faces of one source's pictures. Threads may share it."""

    def __init__(self, finder: FaceFinder, decision: FaceDecision):
        self._finder, self._config, self._decision = finder, finder.config, decision

    @property
    def detects(self) -> bool:
        """Whether a detector looks at the pictures."""
        return self._decision.how == "detect"

    def cut(self, picture: Picture, *, in_colour: bool = False) -> CutOut:
        """Returns the face of a picture. Raises UnreadablePictureError."""
        pixels = picture.read()
        if not self.detects:
            return CutOut(pixels if picture.box is None else cropped(pixels, picture.box))
        picture_gray, is_auto = gray(pixels), self._config.faces == "auto"
        whole = pixels if in_colour else picture_gray
        if is_auto and max(picture_gray.shape) <= CROP_PIXELS:
            return CutOut(whole)
        detector = self._finder.detector()
        found = find_faces(pixels, picture_gray, detector)
        if picture.box is not None:
            found = _nearest(found, _in_pixels(picture.box, picture_gray))
        if not found:
            is_face = self._finder.one_by_one and max(picture_gray.shape) <= _SMALL_PIXELS
            return CutOut(whole if is_face or self._config.without_face == "whole" else None, 0)
        if len(found) > 1 and self._config.several_faces == "leave-out":
            return CutOut(None, len(found))
        if is_auto and _filled(found[0], picture_gray, detector) >= FILLED:
            return CutOut(whole, len(found))
        face = found[0]._replace(roll=None)
        if self._config.align_faces:
            face = aligned(found[0], picture_gray, detector)
        cut = crop_face(whole, face.box, framing=detector.framing, roll=face.roll or 0.0)
        return CutOut(cut, len(found), face.roll is not None)

    def note(self, report: DataReport, found: Mapping[str, CutOut]) -> None:
        """Writes into the report how the faces were found; `found` has each picture that a detector looked at."""
        report.faces, report.faces_missed = self._decision.sentence, []
        report.detector = self._finder.detector().name if found else ""
        report.is_aligned = any(one.is_aligned for one in found.values())
        report.without_face = sorted(name for name, one in found.items() if one.found == 0)
        report.several_faces = sorted(name for name, one in found.items() if one.found > 1)
        done = {"leave-out": "left out", "whole": "taken whole", "largest": "the largest is taken"}
        for which, names, rule in (
            ("No face is", report.without_face, self._config.without_face),
            ("Several faces are", report.several_faces, self._config.several_faces),
        ):
            if names:
                listed = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
                report.faces_missed.append(f"{which} found in {len(names):,} of {len(found):,}, {done[rule]}: {listed}")


def cropped(picture: np.ndarray, box: FaceBox) -> np.ndarray:
    """Returns the face in the box: a square around its middle as large as its longer side, moved into the picture.

    Args:
        picture: uint8 (height, width) or (height, width, channels).

    Raises:
        UnreadablePictureError: the box lies outside, or has a number that is none.
    """
    height, width = picture.shape[:2]
    left, top, across, down = _in_pixels(box, picture)
    if not np.isfinite((left, top, across, down)).all():
        raise UnreadablePictureError("its face's box has numbers that are none")
    if across < 1 or down < 1 or left >= width or top >= height or left + across <= 0 or top + down <= 0:
        raise UnreadablePictureError(f"its face's box lies outside of its {width} x {height} pixels")
    side = max(round(across), round(down))
    start_x, span_x = _inside(left + (across - side) / 2, side, width)
    start_y, span_y = _inside(top + (down - side) / 2, side, height)
    return picture[start_y : start_y + span_y, start_x : start_x + span_x]


def _inside(start: float, span: int, whole: int) -> tuple[int, int]:
    span = min(span, whole)
    return min(max(round(start), 0), whole - span), span


def _in_pixels(box: FaceBox, picture: np.ndarray) -> faces.Box:
    height, width = picture.shape[:2]
    scale = [width, height, width, height] if box.in_parts else [1] * 4
    return faces.Box(*(np.array(box[:4], float) * scale).tolist())


def _nearest(found: list[faces.Face], box: faces.Box) -> list[faces.Face]:
    """Returns the face that shares most with the box of the data set, alone; none where no face shares anything."""
    face = max(found, key=lambda face: common_area(face.box, box), default=None)
    return [face] if face is not None and common_area(face.box, box) > 0 else []


def _filled(face: faces.Face, picture_gray: np.ndarray, detector: faces.Detector) -> float:
    """Returns how much of the picture's shorter side a face takes as FER-2013 would frame it."""
    return square_of(face.box, detector.framing).width / min(picture_gray.shape)


def _decided(source: Source, finder: FaceFinder) -> FaceDecision:
    """Looks at some pictures, spread over the source. Raises as opening it and making a detector do."""
    small: list[str] = []
    filled: list[float] = []
    looked_at = 0
    with source.open() as listing:
        step = max(1, (listing.count or 0) // _SAMPLE)
        for picture in islice(listing.pictures, 0, _SAMPLE * step, step):
            if picture.box is not None:
                return FaceDecision("given", "Faces: in the boxes of the data.")
            try:
                pixels = picture.read()
            except UnreadablePictureError:
                continue
            looked_at += 1
            height, width = pixels.shape[:2]
            if max(height, width) <= CROP_PIXELS:
                small.append(f"{width} x {height}")
            elif found := find_faces(pixels, gray(pixels), finder.detector()):
                filled.append(_filled(found[0], gray(pixels), finder.detector()))
    return _judged(small, filled, looked_at, finder)


def _judged(small: list[str], filled: list[float], looked_at: int, finder: FaceFinder) -> FaceDecision:
    """Decides by the sizes of small pictures, and by how much their faces fill the larger ones."""
    if len(small) * 2 >= looked_at:
        usual = max(small, key=small.count, default="")
        sentence = f"Faces: the pictures are as small as crops ({usual} pixels), and stay as they are."
        return FaceDecision("given", sentence if usual else "")
    name, large = finder.detector().name, looked_at - len(small)
    found = f"{name} finds faces in {len(filled):,} of {large:,} pictures looked at"
    if len(filled) * 2 < large:
        return FaceDecision("given", f"Faces: {found}, so all are taken whole; --faces detect takes what is found.")
    fraction = f"the middle one fills {np.median(filled):.0%} of its picture"
    if np.median(filled) >= FILLED:
        return FaceDecision("given", f"Faces: {found}, and {fraction}: they are cut out already, and stay as they are.")
    better = " yunet finds more: --face-detector yunet downloads it." if name == "haar" else ""
    return FaceDecision("detect", f"Faces: {found}, and {fraction}: they are cut out as for reading.{better}")
