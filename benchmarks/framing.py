"""What lies between a frame and the network costs: each detector's framing, and LiteRT in place of Keras.

    python benchmarks/framing.py --data ../shared/data/fer2013.zip --yunet FILE         # everything: some minutes
    python benchmarks/framing.py --data … --yunet FILE relation bar                     # single sections

relation  training images, enlarged 4x onto a picture without faces and found again: what FRAMING of each detector says
bar       accuracy on test images cropped by the detector against classified directly (at most 3 points less)
turned    the same on pasted test images that are turned, with yunet: cropped as they lie, and aligned by their eyes
agreement of LiteRT and Keras on all test images: no probability may differ by more than 0.001

Test images only check: every choice was made on training images.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from harness import SHIPPED, TEST_DATA
from rich.console import Console
from rich.table import Table

from fer_core import faces
from fer_core.config import TrainConfig
from fer_core.data.dataset import Split, load_dataset
from fer_core.data.face_picture import gray, network_input
from fer_core.faces import Box
from fer_core.faces.framing import aligned, crop_face, overlap
from fer_core.live.classifier import Classifier, make_classifier
from fer_core.paths import Paths
from fer_core.store.model_files import find_model

SIDE = 48
FRAME_SIZE = (640, 480)
PASTED = Box(224, 144, 4 * SIDE, 4 * SIDE)
MIN_OVERLAP, BAR_POINTS, MOST_APART = 0.2, 3.0, 1e-3
TURNS = (10, 20, 30)
MODEL = SHIPPED.parent
Rows = Iterator[Sequence[str]]
LENGTHS = {
    "height": lambda boxes: boxes[:, 3],
    "width": lambda boxes: boxes[:, 2],
    "geometric mean": lambda boxes: np.sqrt(boxes[:, 2] * boxes[:, 3]),
    "arithmetic mean": lambda boxes: (boxes[:, 2] + boxes[:, 3]) / 2,
}
"""What a box's reference length could be."""


class Bench:
    """The sections, each of which yields the rows of its table; `missed` are the bars that were not held."""

    def __init__(self, data: Path, yunet: Path | None, per_class: int):
        self._yunet, self._per_class = yunet, per_class
        self._paths, self.missed = Paths.from_environment(), []
        self._model = find_model(str(MODEL), self._paths)
        self._dataset = load_dataset(TrainConfig(data=str(data), validation="none"), self._paths, side=SIDE)
        scene_bgr = cv2.imread(str(data.parent / "faces" / "mountain.jpg"))
        self._scene_bgr = cv2.resize(scene_bgr, FRAME_SIZE, interpolation=cv2.INTER_AREA)

    def relation(self) -> Rows:
        """Yields where the pictures lie in the detectors' boxes: medians, and how far their middle halves spread."""
        pictures = self._dataset.train.images(self._picked(self._dataset.train))
        for detector in self._detectors():
            boxes = self._found_again(detector, pictures)
            found = boxes[np.isfinite(boxes[:, 0])]
            for name, length in LENGTHS.items():
                # The pasted picture's side and the way to its centre, in reference lengths of each box.
                right = PASTED.x + PASTED.width / 2 - found[:, 0] - found[:, 2] / 2
                down = PASTED.y + PASTED.height / 2 - found[:, 1] - found[:, 3] / 2
                scale, right, down = (way / length(found) for way in (PASTED.width, right, down))
                low, middle, high = np.percentile(scale, (25, 50, 75))
                figures = (middle, (high - low) / middle, np.median(right), np.median(down))
                yield detector.name, name, f"{len(found) / len(boxes):.1%}", *(f"{value:.3f}" for value in figures)

    def bar(self) -> Rows:
        """Yields what each detector's crops of test images cost, and whether that is within the bar."""
        classifier, pictures, labels = self._test_images()

        def is_right(pictures: Iterable[np.ndarray], places: np.ndarray | slice = slice(None)) -> np.ndarray:
            pixels = np.stack([network_input(picture, side=SIDE) for picture in pictures])
            return classifier.classify(pixels).argmax(axis=1) == labels[places]

        directly = is_right(pictures)
        for detector in self._detectors():
            boxes = self._found_again(detector, pictures)
            places = np.flatnonzero(np.isfinite(boxes[:, 0]))
            frames = ((place, gray(pasted(self._scene_bgr, pictures[place]))) for place in places)
            crops = (crop_face(frame, Box(*boxes[place]), framing=detector.framing) for place, frame in frames)
            cropped, direct = is_right(crops, places), directly[places]
            lost = 100 * (direct.astype(float) - cropped)
            fractions = (f"{one:.1%}" for one in (len(places) / len(boxes), direct.mean(), cropped.mean()))
            points = f"{lost.mean():.1f} ± {lost.std() / np.sqrt(len(places)):.1f}"
            verdict = self._verdict(detector.name, is_held=lost.mean() <= BAR_POINTS)
            yield detector.name, str(len(boxes)), *fractions, points, verdict

    def turned(self) -> Rows:
        """Yields what cropping turned faces costs, as they lie and aligned, and how far off their measured turn is."""
        classifier, pictures, labels = self._test_images()
        settings = {"model_file": self._yunet, "width": faces.PHOTO_WIDTH}
        detector = faces.make_detector("yunet", paths=self._paths, **settings)
        for degrees in TURNS:
            places, errors, crops = [], [], ([], [])
            for place, picture in enumerate(pictures):
                turn = degrees if place % 2 else -degrees
                frame_bgr = pasted(self._scene_bgr, picture, turn)
                face = max(detector.find(frame_bgr), key=lambda face: overlap(face.box, PASTED), default=None)
                if face is None or overlap(face.box, PASTED) <= MIN_OVERLAP:
                    continue
                frame_gray = gray(frame_bgr)
                roll = aligned(face, frame_gray, detector).roll
                places.append(place)
                errors.append((roll - turn) * np.sign(turn))
                for some, by in zip(crops, (0.0, roll), strict=True):
                    crop = crop_face(frame_gray, face.box, framing=detector.framing, roll=by)
                    some.append(network_input(crop, side=SIDE))
            answers = [classifier.classify(np.stack(some)).argmax(axis=1) for some in (pictures[places], *crops)]
            accuracies = [f"{(one == labels[places]).mean():.1%}" for one in answers]
            yield f"{degrees}°", f"{len(places) / len(pictures):.1%}", *accuracies, f"{-np.median(errors):.1f}°"

    def agreement(self) -> Rows:
        """Yields how far the two runtimes are apart on all test images, with `tiny`, which has a float32 export."""
        images, model = self._dataset.test.images(slice(None)), find_model("tiny", self._paths)
        runtimes = (make_classifier(model, self._paths, runtime=name) for name in ("litert", "keras"))
        by_litert, by_keras = (runtime.classify(images) for runtime in runtimes)
        difference = np.abs(by_litert - by_keras).max()
        same = (by_litert.argmax(axis=1) == by_keras.argmax(axis=1)).sum()
        verdict = self._verdict("agreement", is_held=difference <= MOST_APART)
        yield model.name, str(len(images)), f"{difference:.1e}", f"{same:,}", verdict

    def _verdict(self, bar: str, *, is_held: bool) -> str:
        self.missed.extend([] if is_held else [bar])
        return "held" if is_held else "MISSED"

    def _detectors(self) -> Iterator[faces.Detector]:
        """Yields every detector there is a file for."""
        has_yunet = self._yunet or "FER_YUNET" in os.environ
        for name in faces.names() if has_yunet else ("haar",):
            yield faces.make_detector(name, paths=self._paths, model_file=self._yunet)

    def _picked(self, split: Split) -> np.ndarray:
        """Returns positions of at most so many images of every class, the same ones every time."""
        order = np.random.default_rng(0).permutation(len(split))
        classes = range(len(self._dataset.labels))
        return np.sort(np.concatenate([order[split.labels[order] == k][: self._per_class] for k in classes]))

    def _test_images(self) -> tuple[Classifier, np.ndarray, np.ndarray]:
        """Returns what reads them, the picked ones, and their labels."""
        split = self._dataset.test
        positions = self._picked(split)
        return make_classifier(self._model, self._paths), split.images(positions), split.labels[positions]

    def _found_again(self, detector: faces.Detector, pictures: np.ndarray) -> np.ndarray:
        """Returns the boxes around the pasted pictures (n, 48, 48, 1): float (n, 4), NaN where there is none."""
        boxes = np.full((len(pictures), 4), np.nan)
        for place, picture in enumerate(pictures):
            found = [face.box for face in detector.find(pasted(self._scene_bgr, picture))]
            best = max(found, key=lambda box: overlap(box, PASTED), default=None)
            if best is not None and overlap(best, PASTED) > MIN_OVERLAP:
                boxes[place] = best
        return boxes


def pasted(scene_bgr: np.ndarray, picture: np.ndarray, degrees: float = 0.0) -> np.ndarray:
    """Returns the scene with the picture (48, 48, 1) in its middle, four times as large and turned clockwise."""
    x, y, width, height = map(int, PASTED)
    frame_bgr = scene_bgr.copy()
    large = cv2.resize(picture[:, :, 0], (width, height), interpolation=cv2.INTER_CUBIC)
    if not degrees:
        frame_bgr[y : y + height, x : x + width] = large[:, :, np.newaxis]
        return frame_bgr
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), -degrees, 1)
    matrix[:, 2] += x, y
    turned, where = (cv2.warpAffine(one, matrix, FRAME_SIZE) for one in (large, np.full_like(large, 255)))
    frame_bgr[where == 255] = turned[where == 255][:, np.newaxis]
    return frame_bgr


SECTIONS = {
    "relation": ("Training images", ("length", "found", "scale", "spread", "right", "down")),
    "bar": ("Test images", ("images", "found", "direct", "cropped", "lost", "bar")),
    "turned": ("Turned test images, accuracy", ("found", "direct", "as they lie", "aligned", "turn seen too small by")),
    "agreement": ("Runtimes", ("images", "largest difference", "the same label", "bar")),
}
"""Each with the title of its table, and its columns beside that of the detector or model."""


def main(
    sections: tyro.conf.Positional[tuple[Literal["relation", "bar", "turned", "agreement"], ...]] = (),
    data: Path = TEST_DATA / "fer2013.zip",
    yunet: Path | None = None,
    per_class: int = 500,
) -> None:
    """Measures the chosen sections, all if none is given; exit code 1 where a bar was missed.

    Args:
        data: FER-2013; beside it lies faces/mountain.jpg.
        yunet: its file; without it haar alone is measured.
        per_class: images of each emotion, at most.
    """
    cv2.setNumThreads(1)
    bench, console = Bench(data, yunet, per_class), Console(width=120)
    for name in sections or SECTIONS:
        title, columns = SECTIONS[name]
        table = Table("of", *columns, title=title, title_justify="left")
        for row in getattr(bench, name)():
            table.add_row(*row)
        console.print(table)
    sys.exit(bool(bench.missed))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
