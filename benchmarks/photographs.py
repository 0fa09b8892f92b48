"""Training on photographs against training on crops of the same faces, with and without alignment.

    python benchmarks/photographs.py --data ../shared/data/fer2013.zip --yunet FILE

Images of FER-2013 are enlarged 3 to 5 times, turned by up to 30 degrees, and pasted into pictures; detection brings
them back. Faces that it does not find are left out everywhere: all rows are about the same images. "as they are" is the
model that comes with the project, which was trained on crops, on what was cut out.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tyro
from harness import ROOT, SHIPPED, TEST_DATA, YUNET
from rich.console import Console
from rich.table import Table

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split, load_dataset
from fer_core.live.classifier import make_classifier
from fer_core.paths import Paths
from fer_core.store.files import read_json
from fer_core.store.model_files import find_model

SIDE, FRAME_SIZE = 48, (520, 400)
ENLARGED, MOST_TURNED = (3.0, 5.0), 30.0
WAYS = {
    "crops": {"faces": "given"},
    "photographs, aligned": {"faces": "detect", "face_detector": "yunet"},
    "photographs, not aligned": {"faces": "detect", "face_detector": "yunet", "align_faces": False},
}
IMAGES = {"train": 4000, "test": 1500}
EPOCHS = 20


class Bench:
    """The pictures, and what is measured on them."""

    def __init__(self, data: Path, yunet: Path, scratch: Path):
        self._data, self._yunet, self._scratch = data, yunet, scratch
        self._paths = Paths.from_environment({"FER_CACHE_DIR": str(scratch / "cache")})

    def written(self) -> tuple[int, int]:
        """Writes crops and photographs, those alone whose face is found; returns how many were written and found."""
        folders = [self._scratch / "crops", self._scratch / "photographs"]
        dataset = load_dataset(TrainConfig(data=str(self._data), validation="none"), self._paths, side=SIDE)
        scene = cv2.imread(str(self._data.parent / "faces" / "mountain.jpg"))
        generator = np.random.default_rng(0)
        for name, most in IMAGES.items():
            for place, (face, label) in enumerate(_some(getattr(dataset, name), most)):
                photograph = _photograph(scene, face, generator)
                for folder, picture in zip(folders, (face, photograph), strict=True):
                    path = folder / name / dataset.labels[label] / f"{place:05}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(path), picture)
        for name in self.loaded("photographs, aligned").contents.report.without_face:
            (folders[0] / name).unlink()
        return sum(IMAGES.values()), sum(1 for _ in folders[0].rglob("*.png"))

    def loaded(self, way: str) -> Dataset:
        """Returns the images as a way of reading them gives them."""
        folder = self._scratch / way.partition(",")[0]
        config = TrainConfig(data=str(folder), validation="none", **WAYS[way])
        return load_dataset(config, self._paths, side=SIDE, report=lambda text: print(text, flush=True))

    def as_they_are(self, way: str) -> float:
        """Returns the accuracy of the model that comes with the project on these test images."""
        dataset = self.loaded(way)
        classifier = make_classifier(find_model(str(SHIPPED.parent), self._paths), self._paths)
        numbers = np.array([classifier.labels.index(label) for label in dataset.labels])
        answers = classifier.classify(dataset.test.images(slice(None))).argmax(axis=1)
        return float((answers == numbers[dataset.test.labels]).mean())

    def trained(self, way: str, seed: int) -> float:
        """Returns the test accuracy of a training on these images."""
        models = self._scratch / f"{way.replace(',', '').replace(' ', '-')}-{seed}"
        given = [part for name, value in WAYS[way].items() for part in _flag(name.replace("_", "-"), value)]
        command = ["train_emotion_model.py", "--data", self._scratch / way.partition(",")[0], "--recipe", "quick"]
        command += ["--epochs", EPOCHS, "--seed", seed, "--no-promote", "--validation", "none"]
        command += ["--models-dir", models, "--history-dir", models / "history", *given]
        places = {"FER_CACHE_DIR": str(self._scratch / "cache"), "FER_YUNET": str(self._yunet)}
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=os.environ | places, check=True)
        return read_json(next(models.glob("runs/*/evaluation.json")), "evaluation")["accuracy"]


def _flag(name: str, value: object) -> list[str]:
    return [f"--no-{name}"] if value is False else [f"--{name}", str(value)]


def _some(split: Split, most: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yields some images, uint8 (48, 48), the same ones every time, with their labels."""
    places = np.sort(np.random.default_rng(0).permutation(len(split))[:most])
    yield from zip(split.images(places)[..., 0], split.labels[places].tolist(), strict=True)


def _photograph(scene_bgr: np.ndarray, face: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns a part of the scene with the face on it, enlarged and turned: uint8 (400, 520, 3)."""
    factor, degrees = generator.uniform(*ENLARGED), generator.uniform(-MOST_TURNED, MOST_TURNED)
    width, height = FRAME_SIZE
    room = factor * SIDE * 0.7
    centre = generator.uniform((room, min(room, height / 2)), (width - room, max(height - room, height / 2)))
    matrix = cv2.getRotationMatrix2D((SIDE / 2 - 0.5, SIDE / 2 - 0.5), degrees, factor)
    matrix[:, 2] += centre - (SIDE / 2 - 0.5)
    large = cv2.warpAffine(face, matrix, FRAME_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    where = cv2.warpAffine(np.full_like(face, 255), matrix, FRAME_SIZE, flags=cv2.INTER_NEAREST)
    top, left = (int(generator.integers(0, max(1, scene_bgr.shape[axis] // 2))) for axis in (0, 1))
    frame_bgr = cv2.resize(
        scene_bgr[top : top + scene_bgr.shape[0] // 2, left : left + scene_bgr.shape[1] // 2], FRAME_SIZE
    )
    frame_bgr[where > 0] = large[where > 0][:, np.newaxis]
    return frame_bgr


def main(
    data: Path = TEST_DATA / "fer2013.zip", yunet: Path = TEST_DATA / YUNET, seeds: tuple[int, ...] = (1, 2)
) -> None:
    """Makes the pictures, trains, and prints a table.

    Args:
        data: FER-2013; beside it lies faces/mountain.jpg. yunet: its file.
        seeds: of the trainings, by the recipe `quick`; 0 of them: framing alone.
    """
    os.environ["FER_YUNET"] = str(yunet)
    with tempfile.TemporaryDirectory(prefix="photographs-") as scratch:
        bench = Bench(data, yunet, Path(scratch))
        written, kept = bench.written()
        title = f"{kept:,} of {written:,} faces found again; test accuracy"
        table = Table("images", "as they are", *(f"seed {seed}" for seed in seeds), title=title)
        for way in WAYS:
            accuracies = [bench.as_they_are(way), *(bench.trained(way, seed) for seed in seeds)]
            table.add_row(way, *(f"{accuracy:.1%}" for accuracy in accuracies))
    Console(width=120).print(table)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
