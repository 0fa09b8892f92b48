"""Pictures with drawn faces in them, which both detectors find."""

from pathlib import Path

import cv2
import numpy as np

from fer_core.data.sample import draw_face

EMOTIONS = ("angry", "happy", "sad")
FACE_PIXELS = 160


def photograph(
    number: int, *at: tuple[int, int], turned: float = 0.0, size: tuple[int, int] = (400, 300)
) -> np.ndarray:
    """Returns a gray picture with drawn faces of 160 pixels, which begin at these places; turned clockwise."""
    picture = np.full(size[::-1], 128, np.uint8)
    for place, (left, top) in enumerate(at):
        face = draw_face(EMOTIONS[number % 3], np.random.default_rng((number, place)), side=FACE_PIXELS)
        picture[top : top + FACE_PIXELS, left : left + FACE_PIXELS] = face
    centre = (size[0] / 2 - 0.5, size[1] / 2 - 0.5)
    return cv2.warpAffine(picture, cv2.getRotationMatrix2D(centre, -turned, 1), size, borderValue=128)


def written(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
    return folder


def save_photographs(folder: Path, per_class: int = 3) -> Path:
    """Makes class folders with photographs of one face each, and returns the folder."""
    names = [f"{emotion}/{number}.png" for emotion in EMOTIONS for number in range(per_class)]
    return written(folder, {name: photograph(place, (120, 60 + place % 9)) for place, name in enumerate(names)})
