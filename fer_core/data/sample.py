"""Drawn faces: the data set that is always there, for a first try, for tests and for the pictures in the README.

Schematic gray faces whose brows, eyes, nose and mouth say the emotion, while head, hair, tone, pose, light, blur and
noise say nothing about it. They teach a network to read drawings, not people. Does not know files, splits or how many
faces are wanted.
"""

from dataclasses import astuple, dataclass

import cv2
import numpy as np

from fer_core.errors import ConfigError, did_you_mean
from fer_core.labels import FER2013_LABELS

SAMPLE_LABELS = FER2013_LABELS

OVERSAMPLING = 4
"""Drawn so many times larger and shrunk by area, which is what smooths the edges."""

SPAN = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 15))
"""Positions along a lid, a brow or a lip, from one corner (-1) to the other (1), closer together at the corners."""
BULGE = 1 - SPAN**2
ROUND = BULGE**0.65
CIRCLE = np.array([np.cos(turn := np.linspace(0, 2 * np.pi, 32, endpoint=False)), np.sin(turn)]).T


@dataclass(frozen=True)
class Expression:
    """What the muscles do. Lengths in half heights of the head; 0 = at rest where nothing else is said."""

    brow_height: float = 0.25  # above the middle of the eye
    brow_inner: float = 0.0  # its inner ends: above 0 raised (fear, sadness), below 0 lowered (anger)
    brow_arch: float = 0.05
    upper_lid: float = 0.09  # above the middle of the eye
    lower_lid: float = 0.06
    lid_droop: float = 0.0  # outer corners of the eyes lowered
    wrinkles: float = 0.0  # of the nose: 0 none to 1 deep
    frown: float = 0.0  # creases between the brows: 0 none to 1 deep
    mouth_width: float = 0.27
    corners: float = 0.0  # of the mouth: above 0 raised, below 0 lowered
    upper_lip: float = 0.0  # its middle raised
    lower_lip: float = 0.0  # its middle lowered
    sneer: float = 0.0  # one side of the upper lip raised
    teeth: float = 0.0  # height of the upper teeth that an open mouth shows
    lip_fullness: float = 0.05


AT_REST = Expression()

EXPRESSIONS = {
    "angry": Expression(
        brow_height=0.15, brow_inner=-0.19, brow_arch=0.01, upper_lid=0.06, lower_lid=0.05, frown=1.0,
        mouth_width=0.22, corners=-0.06, lip_fullness=0.02,
    ),
    "disgust": Expression(
        brow_height=0.20, brow_inner=-0.06, brow_arch=0.03, upper_lid=0.045, lower_lid=0.025, wrinkles=1.0,
        mouth_width=0.29, corners=-0.08, upper_lip=0.06, sneer=0.14, teeth=0.13,
    ),
    "fear": Expression(
        brow_height=0.29, brow_inner=0.16, brow_arch=0.0, upper_lid=0.16, lower_lid=0.09, frown=0.4,
        mouth_width=0.38, corners=-0.10, lower_lip=0.12, teeth=0.10,
    ),
    "happy": Expression(
        brow_height=0.28, brow_arch=0.08, upper_lid=0.075, lower_lid=-0.01,
        mouth_width=0.41, corners=0.17, upper_lip=-0.06, lower_lip=0.20, teeth=0.10,
    ),
    "neutral": AT_REST,
    "sad": Expression(
        brow_height=0.25, brow_inner=0.18, brow_arch=-0.02, upper_lid=0.045, lower_lid=0.045, lid_droop=0.06,
        mouth_width=0.25, corners=-0.17, upper_lip=0.01, lip_fullness=0.06,
    ),
    "surprise": Expression(
        brow_height=0.40, brow_arch=0.12, upper_lid=0.17, lower_lid=0.11,
        mouth_width=0.19, corners=-0.02, upper_lip=0.13, lower_lip=0.24, lip_fullness=0.06,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Whom we look at: what says nothing about the emotion. Tones 0..255, lengths in half heights of the head."""

    skin: float
    hair: float
    background: float
    head_width: float
    eye_distance: float
    brow_thickness: float
    nose_length: float
    hair_style: str
    glasses: bool


class Pen:
    """Draws on a canvas in the head's own coordinates: x to the right, y down, the head's half height is 1."""

    def __init__(self, canvas: np.ndarray, turn: np.ndarray, centre: np.ndarray):
        self.canvas = canvas
        self._turn = turn
        self._centre = centre
        self._unit = float(np.hypot(*turn[0]))

    def fill(self, points: np.ndarray, tone: float) -> None:
        """Fills the outline through `points` (n, 2)."""
        cv2.fillPoly(self.canvas, [self._pixels(points)], min(255.0, max(0.0, tone)))

    def line(self, points: np.ndarray, tone: float, *, width: float, closed: bool = False) -> None:
        """Draws a line `width` wide through `points` (n, 2)."""
        pixels = max(1, round(width * self._unit))
        cv2.polylines(self.canvas, [self._pixels(points)], closed, min(255.0, max(0.0, tone)), pixels)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        return np.rint(points @ self._turn + self._centre).astype(np.int32)


def draw_face(emotion: str, random: np.random.Generator, *, side: int = 48) -> np.ndarray:
    """Returns a new face that shows `emotion`: uint8 (side, side), 0..255.

    Everything about it is drawn from `random`, so the same generator state gives the same face.
    Raises ConfigError for an emotion that is not in SAMPLE_LABELS.
    """
    if emotion not in EXPRESSIONS:
        raise ConfigError(f"There is no drawn face for {emotion!r}.", hint=did_you_mean(emotion, SAMPLE_LABELS))
    person = _make_person(random)
    expression = _vary(EXPRESSIONS[emotion], random)
    pen = _make_pen(person, random, side=side * OVERSAMPLING)
    _draw_head(pen, person)
    gaze = random.uniform(-0.04, 0.04)
    for cheek in (-1, 1):
        _draw_eye(pen, person, expression, cheek=cheek, gaze=gaze)
        _draw_brow(pen, person, expression, cheek=cheek)
    if person.glasses:
        _draw_glasses(pen, person)
    _draw_nose(pen, person, expression)
    _draw_mouth(pen, person, expression, sneering_side=random.choice((-1, 1)))
    picture = cv2.resize(pen.canvas, (side, side), interpolation=cv2.INTER_AREA)
    return _photograph(picture, random)


def _make_person(random: np.random.Generator) -> Person:
    hair = random.uniform(15, 90) if random.random() < 0.8 else random.uniform(150, 235)
    skin = random.uniform(120, 225)
    return Person(
        skin=skin,
        hair=hair,
        background=max(random.uniform(20, 245, 3), key=lambda tone: min(abs(tone - hair), abs(tone - skin))),
        head_width=random.uniform(0.70, 0.82),
        eye_distance=random.uniform(0.28, 0.34),
        brow_thickness=random.uniform(0.03, 0.055),
        nose_length=random.uniform(0.20, 0.28),
        hair_style=random.choice(("short", "parted", "long", "fringe", "bald"), p=(0.3, 0.2, 0.25, 0.15, 0.1)),
        glasses=random.random() < 0.08,
    )


def _vary(expression: Expression, random: np.random.Generator) -> Expression:
    """Returns the expression at a random strength, each part of the face a little for itself."""
    rest, full = np.array(astuple(AT_REST)), np.array(astuple(expression))
    strength = random.uniform(0.9, 1.15)
    return Expression(*(rest + (full - rest) * strength * random.uniform(0.9, 1.1, len(rest))))


def _make_pen(person: Person, random: np.random.Generator, *, side: int) -> Pen:
    canvas = np.full((side, side), person.background, dtype=np.uint8)
    angle = np.radians(random.uniform(-10, 10))
    unit = side * random.uniform(0.43, 0.51)
    turn = unit * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Pen(canvas, turn, side * (np.array([0.5, 0.52]) + random.uniform(-0.052, 0.052, 2)))


def _draw_head(pen: Pen, person: Person) -> None:
    wide = person.head_width
    if person.hair_style == "long":
        pen.fill(_ellipse((0, 0.15), (wide + 0.22, 1.25)), person.hair)
    pen.fill(np.array([[-0.34, 0.6], [0.34, 0.6], [0.42, 1.6], [-0.42, 1.6]]), person.skin * 0.72)
    for cheek in (-1, 1):
        pen.fill(_ellipse((cheek * wide, 0), (0.10, 0.17)), person.skin * 0.85)
    pen.fill(_head_outline(wide), person.skin)
    if person.hair_style != "bald":
        pen.fill(_hair_outline(person), person.hair)


def _head_outline(wide: float) -> np.ndarray:
    """An oval that narrows towards the chin."""
    across, down = CIRCLE.T
    return np.array([across * wide * (1 - 0.16 * np.maximum(down, 0)), down]).T


def _hair_outline(person: Person) -> np.ndarray:
    """From ear to ear over the crown and back along the hairline, whose shape is the hair style."""
    arc = np.pi * (1 + (SPAN + 1) / 2)
    crown = np.array([np.cos(arc) * (person.head_width + 0.05), np.sin(arc) - 0.1]).T
    depth = {
        "short": -0.62 + 0.45 * SPAN**4,
        "parted": -0.70 + 0.30 * np.abs(SPAN + 0.4),
        "long": -0.68 + 0.62 * SPAN**2,
        "fringe": np.full_like(SPAN, -0.50),
    }[person.hair_style]
    hairline = np.array([SPAN * person.head_width * np.sqrt(1 - depth**2), depth]).T
    return np.concatenate([crown, hairline[::-1]])


def _draw_eye(pen: Pen, person: Person, expression: Expression, *, cheek: int, gaze: float) -> None:
    outwards = SPAN * cheek
    middle = np.array([cheek * person.eye_distance, -0.12])
    slant = expression.lid_droop * outwards
    upper = slant - expression.upper_lid * BULGE
    lower = slant + np.maximum(expression.lower_lid, -expression.upper_lid + 0.03) * BULGE
    across = SPAN * 0.18
    pen.fill(middle + _closed_shape(across, upper, lower), min(250, person.skin * 0.35 + 165))
    iris = CIRCLE * 0.085 + (gaze, 0)
    iris[:, 1] = np.clip(iris[:, 1], np.interp(iris[:, 0], across, upper), np.interp(iris[:, 0], across, lower))
    pen.fill(middle + iris, 30)
    pen.line(middle + np.array([across, upper]).T, person.skin * 0.25, width=0.045)
    pen.line(middle + np.array([across, lower]).T, person.skin * 0.7, width=0.015)


def _draw_brow(pen: Pen, person: Person, expression: Expression, *, cheek: int) -> None:
    outwards = SPAN * cheek
    rise = expression.brow_height + expression.brow_arch * BULGE + expression.brow_inner * (1 - outwards) / 2
    thickness = person.brow_thickness * (1.3 - 0.7 * outwards)
    middle = np.array([cheek * person.eye_distance, -0.12])
    shape = _closed_shape(SPAN * 0.21, -rise - thickness, -rise + thickness)
    pen.fill(middle + shape, min(person.hair, person.skin * 0.4))


def _draw_glasses(pen: Pen, person: Person) -> None:
    for cheek in (-1, 1):
        rim = CIRCLE * (0.25, 0.22) + (cheek * person.eye_distance, -0.12)
        pen.line(rim, 25, width=0.03, closed=True)
    bridge = person.eye_distance - 0.25
    pen.line(np.array([[-bridge, -0.13], [bridge, -0.13]]), 25, width=0.03)


def _draw_nose(pen: Pen, person: Person, expression: Expression) -> None:
    shadow = person.skin * 0.6
    tip = person.nose_length - 0.04 * expression.wrinkles
    pen.line(np.array([[0.03, -0.08], [0.09, tip - 0.06], [0.08, tip], [-0.05, tip + 0.02]]), shadow, width=0.03)
    for cheek in (-1, 1):
        for crease in _creases(expression, tip):
            pen.line(crease * (cheek, 1), shadow, width=0.03)


def _creases(expression: Expression, tip: float) -> list[np.ndarray]:
    """Returns the lines that disgust draws beside the nose and on its bridge, and a frown between the brows."""
    creases = []
    if expression.wrinkles > 0.3:
        creases.append(np.array([[0.13, tip - 0.08], [0.24, tip + 0.06], [0.32, tip + 0.22]]))
        creases += [np.array([[0.02, height], [0.10, height - 0.05]]) for height in (-0.16, -0.08, 0.0)]
    if expression.frown > 0.3:
        creases.append(np.array([[0.05, -0.22], [0.045, -0.34 - 0.05 * expression.frown]]))
    return creases


def _draw_mouth(pen: Pen, person: Person, expression: Expression, *, sneering_side: int) -> None:
    across = SPAN * expression.mouth_width
    middle_line = 0.50 - expression.corners * (SPAN**2 - 0.5)
    sneer = expression.sneer * np.exp(-(((SPAN * sneering_side - 0.4) / 0.45) ** 2)) * ROUND
    upper = middle_line - expression.upper_lip * ROUND - sneer
    lower = np.maximum(upper, middle_line + expression.lower_lip * ROUND)
    fullness = expression.lip_fullness * ROUND
    pen.fill(_closed_shape(across, upper - fullness * 0.8, lower + fullness), person.skin * 0.66)
    pen.fill(_closed_shape(across, upper, lower), 25)
    if expression.teeth > 0.02:
        pen.fill(_closed_shape(across * 0.9, upper, np.minimum(lower, upper + expression.teeth)), 235)
    for lip in (upper, lower):
        pen.line(np.array([across, lip]).T, person.skin * 0.25, width=0.045)


def _photograph(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns the drawing as a weak camera sees it: lit from one side, a little blurred and noisy."""
    side = len(picture)
    x, y = random.uniform(-0.25, 0.25, 2).astype(np.float32)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    light = random.uniform(0.8, 1.1) * (1 + x * ramp[None, :] + y * ramp[:, None])
    lit = cv2.GaussianBlur(picture * light.astype(np.float32), (0, 0), side / 48 * random.uniform(0.3, 0.55))
    lit += random.uniform(1, 5) * random.standard_normal((side, side), dtype=np.float32)
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    return CIRCLE * radii + centre


def _closed_shape(across: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Returns the outline (2n, 2) between two curves over the same `across`."""
    return np.concatenate([np.array([across, upper]).T, np.array([across, lower]).T[::-1]])
