"""The images of the shared run, and a copy of it that a test may change."""

import shutil

import pytest

from fer_core.store.run import Run
from fer_core.store.runs import open_run


@pytest.fixture(scope="session")
def small_dataset(small_config, session_places):
    from fer_core.data.dataset import load_dataset

    return load_dataset(small_config, session_places, side=48)


@pytest.fixture
def in_use(trained_run, session_places, places) -> Run:
    """A copy of the shared run, in use in places of its own."""
    for folder in ("models", "history", "cache"):
        shutil.copytree(getattr(session_places, folder), getattr(places, folder))
    return open_run(places, trained_run.id)
