"""The images of the shared run."""

import pytest


@pytest.fixture(scope="session")
def small_dataset(small_config, session_places):
    from fer_core.data.dataset import load_dataset

    return load_dataset(small_config, session_places, side=48)
