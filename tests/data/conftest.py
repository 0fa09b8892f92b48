"""Small sources of images for the data tests: every picture is noise of its own, so no two are copies by chance."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.paths import Paths

EMOTIONS = ("angry", "happy", "sad")


@pytest.fixture
def load(paths: Paths) -> Callable[..., Dataset]:
    """Returns load(data, side=48, channels=1, report=…, **settings)."""

    def load(data: Path | str, *, side: int = 48, channels: int = 1, report=lambda text: None, **settings) -> Dataset:
        config = TrainConfig(data=str(data), **settings)
        return load_dataset(config, paths, side=side, channels=channels, report=report)

    return load


def noise_picture(number: int, height: int = 48, width: int = 48) -> np.ndarray:
    """Returns the same uint8 picture for the same number."""
    return np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8)


def fill_folder(folder: Path, per_class: int = 10, *, first: int = 0, emotions=EMOTIONS) -> Path:
    """Makes class folders with PNG pictures, and returns the folder."""
    for place, emotion in enumerate(emotions):
        (folder / emotion).mkdir(parents=True, exist_ok=True)
        for number in range(first + place * per_class, first + (place + 1) * per_class):
            cv2.imwrite(str(folder / emotion / f"{number:05}.png"), noise_picture(number))
    return folder


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    return noise_picture


@pytest.fixture
def fill() -> Callable[..., Path]:
    return fill_folder


@pytest.fixture
def train_and_test(fill, tmp_path: Path) -> Path:
    """A folder with train/ (10 of each of three emotions) and test/ (4 of each)."""
    fill(tmp_path / "faces" / "train", 10)
    fill(tmp_path / "faces" / "test", 4, first=1000)
    return tmp_path / "faces"


@pytest.fixture
def write_csv(noise, tmp_path: Path) -> Callable[..., Path]:
    """Returns write_csv(rows, header=…, name=…): rows of (emotion number, Usage, picture number or text of pixels)."""

    def write_csv(rows, *, header: str = "emotion,Usage,pixels", name: str = "fer2013.csv") -> Path:
        lines = [header]
        for emotion, usage, pixels in rows:
            text = pixels if isinstance(pixels, str) else " ".join(map(str, noise(pixels).ravel()))
            lines.append(f"{emotion},{usage},{text}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write_csv


@pytest.fixture
def csv_rows() -> list[tuple]:
    """For `write_csv`: 10 Training, 3 PublicTest and 3 PrivateTest images of angry (0), happy (3), neutral (6)."""
    usages = ["Training"] * 10 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
    return [(emotion, usage, emotion * 100 + number) for emotion in (0, 3, 6) for number, usage in enumerate(usages)]
