"""What all tests share: the real data, and one trained model for everybody who needs one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.places import Places
from fer_core.recipes import recipe_config
from fer_core.store.run import Run
from fer_core.store.runs import list_runs

PROJECT = Path(__file__).parents[1]


def places_in(folder: Path) -> Places:
    """Returns places that lie in one folder."""
    return Places.from_environment(
        {"FER_CACHE_DIR": str(folder / "cache"), "FER_INBOX": str(folder / "inbox")},
        models=folder / "models",
        history=folder / "history",
    )


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real FER-2013 and real faces."""
    folder = Path(os.environ.get("FER_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "fer2013.zip").is_file():
        pytest.skip(f"No real data: {folder}/fer2013.zip is missing ($FER_TEST_DATA names another folder).")
    return folder


@pytest.fixture
def places(tmp_path) -> Places:
    return places_in(tmp_path)


@pytest.fixture(scope="session")
def small_config() -> TrainConfig:
    """A training of a few seconds on drawn faces."""
    settings = {"data": "sample", "sample_per_class": 60, "epochs": 3}
    return networks.with_all_options(TrainConfig.model_validate(recipe_config("smoke").model_dump() | settings))


@pytest.fixture(scope="session")
def session_places(tmp_path_factory) -> Places:
    return places_in(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="session")
def trained_run(session_places, small_config) -> Run:
    """One finished run, in use; tests must not change it. Trained in a process of its own, as users do."""
    places = session_places
    flags = ["--data", "sample", "--recipe", "smoke", "--sample-per-class", "60", "--epochs", "3"]
    folders = ["--models-dir", str(places.models), "--history-dir", str(places.history)]
    environment = os.environ | {"FER_CACHE_DIR": str(places.cache)}
    command = [sys.executable, "train_emotion_model.py", *flags, *folders]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True, timeout=200)
    (run,) = list_runs(places)
    assert run.manifest.config == small_config
    return run


@pytest.fixture(scope="session")
def model_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of harmless and hostile model files, made by Keras in a process of its own (some 10 s)."""
    folder = tmp_path_factory.mktemp("zoo")
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, PROJECT / "tests" / "store" / "model_zoo.py", folder]
    subprocess.run(command, env=environment, capture_output=True, timeout=200, check=True)
    return folder
