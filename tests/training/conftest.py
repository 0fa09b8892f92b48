"""The images of the shared run, and runs of other settings on such."""

from functools import partial

import pytest

from fer_core.data.dataset import load_dataset
from tests.training.parts import begin_run


@pytest.fixture(scope="session")
def small_dataset(small_config, session_paths):
    return load_dataset(small_config, session_paths, side=48)


@pytest.fixture
def begun(paths, session_paths, small_config):
    """A function that makes a run with changed settings, and returns it with its data.

    A trial ends sooner: without export and plots, scored on its validation images.
    """

    return partial(begin_run, paths, session_paths, small_config)
