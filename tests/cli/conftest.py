"""The door as a user meets it, in this process and without Keras; small pictures; runs at every stage."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.cli import ended, live
from fer_core.cli.train import main
from fer_core.data.dataset import load_dataset
from fer_core.paths import Paths
from fer_core.recipes import recipe_config
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import record_data
from tests.script import Answer

EMOTIONS = ("angry", "happy", "sad")


@pytest.fixture
def without_keras(tmp_path, monkeypatch) -> None:
    """A folder to start in and no variables; what would import Keras or TensorFlow ends in a traceback."""
    for name in [name for name in os.environ if name.startswith(("FER_", "DISPLAY", "WAYLAND_DISPLAY", "COLUMNS"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name in ("keras", "tensorflow", "fer_core.training.fit"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def detector(without_keras, paths, monkeypatch, capfd) -> Callable[..., Answer]:
    """Returns detector(arguments…), which runs the detector here; only what needs Keras gets a process."""

    def ask(*arguments: object, **environment: str) -> Answer:
        for name, value in ({"FER_CACHE_DIR": str(paths.cache)} | environment).items():
            monkeypatch.setenv(name, value)
        try:
            code = ended(lambda: live.main([*map(str, arguments), "--models-dir", str(paths.models)]))
        except SystemExit as ending:  # of a child
            code = ending.code
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return ask


@pytest.fixture
def door(without_keras, paths, monkeypatch, capsys) -> Callable[..., Answer]:
    """Returns door(arguments…, places=…), which runs the training script here, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")

    def ask(*arguments: object, paths: Paths = paths) -> Answer:
        monkeypatch.setenv("FER_CACHE_DIR", str(paths.cache))
        folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
        code = ended(lambda: main([*map(str, arguments), *folders]))
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return ask


def save_noise(path: Path, number: int) -> None:
    """Writes a picture that is another one for another number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8))


def save_faces(folder: Path, *, train: int = 10, test: int = 4) -> Path:
    """Makes train/ and test/ with so many pictures of each of three emotions, and returns the folder."""
    numbers = iter(range(10_000))
    for part, count in (("train", train), ("test", test)):
        for emotion in EMOTIONS:
            for _ in range(count):
                number = next(numbers)
                save_noise(folder / part / emotion / f"{number:05}.png", number)
    return folder


@pytest.fixture
def faces(tmp_path) -> Path:
    return save_faces(tmp_path / "faces")


@pytest.fixture
def begun_run(paths, faces) -> Run:
    """A run on the faces that was interrupted before its first epoch."""
    settings = {"data": str(faces), "epochs": 3}
    config = recipe_config("smoke").model_copy(update=settings)
    run = create_run(paths, config, recipe="smoke", history_header=HISTORY_HEADER)
    record_data(run, load_dataset(config, paths, side=48))
    run.update_state(status="INTERRUPTED")
    return run


def everything_in(folder: Path) -> dict[str, bytes]:
    """Returns the content of every file, by its path, but for locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
