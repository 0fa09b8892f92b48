"""What all tests share: the real data, and one trained model for everybody who needs one."""

import os
from pathlib import Path

import pytest

from fer_core.config import TrainConfig
from fer_core.places import Places
from fer_core.recipes import recipe_config
from fer_core.store.run import Run

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
    settings = {"data": "sample", "sample_per_class": 60, "epochs": 3, "threads": 1}
    return TrainConfig.model_validate(recipe_config("smoke").model_dump() | settings)


@pytest.fixture(scope="session")
def session_places(tmp_path_factory) -> Places:
    return places_in(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="session")
def trained_run(session_places, small_config) -> Run:
    """One finished run; tests must not change it."""
    from fer_core.data.dataset import load_dataset
    from fer_core.store.runs import create_run
    from fer_core.training.history import HISTORY_HEADER
    from fer_core.training.record import record_data
    from fer_core.training.train import train

    dataset = load_dataset(small_config, session_places, side=48)
    run = create_run(session_places, small_config, recipe="smoke", history_header=HISTORY_HEADER)
    record_data(run, dataset)
    train(run, dataset, places=session_places)
    return run
