"""Follows faces from frame to frame, so that each person keeps one number.

A found face belongs to the track whose expected box it is nearest to. Between two detections, `Flow` measures in the
pictures how far each moved: pyramidal Lucas-Kanade (Bouguet 2000, in OpenCV) on a small gray picture.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.faces import Box, Face
from fer_core.faces.framing import common_area, overlap

BRIDGE_SECONDS = 0.7
"""A person who is not found for longer than this is gone, and gets a new number when coming back."""
CERTAIN_SECONDS = 0.1
"""A new face has to be found for so long, at every look. The false alarms of haar last for two frames at times."""
_FARTHEST = 1.7
"""The largest `_cost` of a match: a face of the same size that is 0.8 of its width away from where it was expected."""
_INSIDE = 0.5
"""A new face of which more than this share lies inside a known one is the same face, found twice."""
_COASTING_SECONDS = 0.3
"""An unseen face goes on at its speed for about so long: people stop, and the speed is only an estimate."""
_SPEED_SECONDS = 0.2
"""Time constant of the speed's estimate. Over less time it would be the trembling of the detector's boxes."""
FLOW_WIDTH = 320
"""Of the picture that is measured in. Half a pixel there is a hundredth of a face that fills a fifth of the frame."""
_POINTS = 5
_MIDDLE = 0.6
"""The points lie in this share of the box: outside there are hair and background."""
_WINDOW = (13, 13)
_LEVELS = 2
_LARGEST_GROWTH = 1.1


class Move(NamedTuple):
    """How a box changed: the shift of its centre in pixels, and the factor of its size."""

    right: float
    down: float
    growth: float = 1.0


class Track:
    """One face that is followed: its `box` now, and `person`, its number (None until there is certainly a face).

    `is_found`: whether the last detection found it. If not, what lies under its box may be something else.
    """

    def __init__(self, face: Face, seconds: float):
        self.box = self._observed = face.box
        self.roll = face.roll
        self.person: int | None = None
        self.first_at = self.found_at = self._observed_at = seconds
        self._speed = np.zeros(2)
        self.is_found = True

    @property
    def face(self) -> Face:
        """The face as it is now, turned as it was when it was found last."""
        return Face(self.box, 1.0, self.roll)

    def expected(self, seconds: float) -> Box:
        """Returns where the face should be, from where it was observed last and how fast it moved."""
        elapsed = max(0.0, seconds - self._observed_at)
        way = self._speed * (_COASTING_SECONDS * (1 - math.exp(-elapsed / _COASTING_SECONDS)))
        right, down = way.tolist()
        return self._observed._replace(x=self._observed.x + right, y=self._observed.y + down)

    def find(self, face: Face | None, seconds: float) -> None:
        """Takes the detector's word for where the face is; where it did not find it, it is where it should be."""
        self.is_found = face is not None
        if face is None:
            self.box = self.expected(seconds)
        else:
            self._observe(face.box, seconds)
            self.roll = face.roll
            self.found_at = seconds

    def follow(self, move: Move | None, seconds: float) -> None:
        """Moves the box by what was measured in the picture; without that, to where the face should be."""
        if move is None:
            self.box = self.expected(seconds)
            return
        width, height = self.box.width * move.growth, self.box.height * move.growth
        right, down = _centre(self.box)
        self._observe(Box(right + move.right - width / 2, down + move.down - height / 2, width, height), seconds)

    def _observe(self, box: Box, seconds: float) -> None:
        elapsed = seconds - self._observed_at
        if elapsed > 0:
            share = 1 - math.exp(-elapsed / _SPEED_SECONDS)
            way = np.subtract(_centre(box), _centre(self._observed))
            # share / elapsed stays finite however short the time was; a way divided by it does not.
            self._speed = (1 - share) * self._speed + share / elapsed * way
        self.box = self._observed = box
        self._observed_at = max(self._observed_at, seconds)


class Tracker:
    """The faces of one source. `tracks` are all that are followed, also those that are not yet or no longer seen."""

    def __init__(self) -> None:
        self._people = 0
        self._has_checked = False
        self.tracks: list[Track] = []

    @property
    def people(self) -> list[Track]:
        """The tracks that have a number, in its order."""
        return sorted((track for track in self.tracks if track.person is not None), key=lambda track: track.person)

    @property
    def is_check_due(self) -> bool:
        """Whether the next frame should be looked at whole: a face is new, or was not found again."""
        return any(track.person is None or not track.is_found for track in self.tracks)

    def find(self, faces: Sequence[Face], seconds: float) -> None:
        """Takes what the detector found in the whole frame at this time.

        A new face counts once it has been found for 0.1 s; in the first frame of all at once, so that the first
        reading does not wait.
        """
        pairs = matched([track.expected(seconds) for track in self.tracks], [face.box for face in faces])
        for place, track in enumerate(self.tracks):
            track.find(faces[pairs[place]] if place in pairs else None, seconds)
        lasting = (track for track in self.tracks if track.is_found or (track.person and self._lasts(track, seconds)))
        self.tracks = list(lasting)
        seen = [track.box for track in self.tracks if track.is_found]
        new = (face for place, face in enumerate(faces) if place not in pairs.values())
        for face in new:
            area = max(face.box.width * face.box.height, 1e-9)
            if all(common_area(face.box, box) / area <= _INSIDE for box in seen):
                self.tracks.append(Track(face, seconds))
        for track in self.tracks:
            is_certain = track.found_at - track.first_at >= CERTAIN_SECONDS
            if track.person is None and (is_certain or not self._has_checked):
                self._people += 1
                track.person = self._people
        self._has_checked = True

    def follow(self, moves: Mapping[Track, Move | None], seconds: float) -> None:
        """Moves the boxes on to this time, without a detection: by what was measured, else as expected."""
        for track in self.tracks:
            track.follow(moves.get(track), seconds)
        self.tracks = [track for track in self.tracks if self._lasts(track, seconds)]

    def _lasts(self, track: Track, seconds: float) -> bool:
        return seconds - track.found_at <= BRIDGE_SECONDS


def matched(expected: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """Returns which found box belongs to which expected one, by their places; none to two, none from too far.

    Nearest pairs first; then two pairs change partners where that brings both together nearer, which keeps people
    apart who cross.
    """
    costs = {
        (place, other): cost
        for place, box in enumerate(expected)
        for other, candidate in enumerate(found)
        if (cost := _cost(box, candidate)) <= _FARTHEST
    }
    pairs: dict[int, int] = {}
    for place, other in sorted(costs, key=costs.get):
        if place not in pairs and other not in pairs.values():
            pairs[place] = other
    for first in pairs:
        for second in pairs:
            now = costs[first, pairs[first]] + costs[second, pairs[second]]
            changed = costs.get((first, pairs[second]), math.inf) + costs.get((second, pairs[first]), math.inf)
            if changed < now:
                pairs[first], pairs[second] = pairs[second], pairs[first]
    return pairs


def _cost(box: Box, other: Box) -> float:
    """Returns 0 for equal boxes, more for less overlap and for more distance (in widths of the face)."""
    size = math.sqrt(max(box.width * other.width, 1e-9))
    return 1 - overlap(box, other) + math.dist(_centre(box), _centre(other)) / size


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2


class Flow:
    """Remembers the last frame; one for each source."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def remember(self, frame_gray: np.ndarray) -> None:
        """Keeps a small copy of the frame (uint8 (height, width)) to compare the next one with."""
        self._before = _small(frame_gray)

    def moves(self, frame_gray: np.ndarray, boxes: Sequence[Box]) -> list[Move | None]:
        """Returns how each box of the last frame moved, in pixels of the frame; None where it cannot be told."""
        before, self._before = self._before, _small(frame_gray)
        if not boxes or before is None or before.shape != self._before.shape:
            return [None] * len(boxes)
        scale = self._before.shape[1] / frame_gray.shape[1]
        points = np.concatenate([_grid(box, scale) for box in boxes])
        after, found, _ = cv2.calcOpticalFlowPyrLK(
            before, self._before, points, None, winSize=_WINDOW, maxLevel=_LEVELS
        )
        each = (len(boxes), _POINTS * _POINTS, 2)
        parts = zip(points.reshape(each), after.reshape(each), found.reshape(each[:2]) == 1, strict=True)
        return [_move(old[is_found], new[is_found], scale) for old, new, is_found in parts]


def _small(frame_gray: np.ndarray) -> np.ndarray:
    height, width = frame_gray.shape
    if width <= FLOW_WIDTH:
        return frame_gray
    size = (FLOW_WIDTH, max(1, round(height * FLOW_WIDTH / width)))
    return cv2.resize(frame_gray, size, interpolation=cv2.INTER_AREA)


def _grid(box: Box, scale: float) -> np.ndarray:
    steps = 0.5 + _MIDDLE * np.linspace(-0.5, 0.5, _POINTS)
    across, down = np.meshgrid(box.x + box.width * steps, box.y + box.height * steps)
    return (np.stack([across.ravel(), down.ravel()], axis=1) * scale).astype(np.float32)


def _move(old: np.ndarray, new: np.ndarray, scale: float) -> Move | None:
    if len(old) < _POINTS * _POINTS // 2:
        return None
    right, down = np.median(new - old, axis=0) / scale
    spread = np.linalg.norm(old - np.median(old, axis=0), axis=1)
    spread_after = np.linalg.norm(new - np.median(new, axis=0), axis=1)
    growth = np.median(spread_after[spread > 0] / spread[spread > 0])
    return Move(float(right), float(down), float(np.clip(growth, 1 / _LARGEST_GROWTH, _LARGEST_GROWTH)))
