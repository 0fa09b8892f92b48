"""The images of the shared run, and runs of other settings on such."""

import pytest

from fer_core import networks
from fer_core.data.dataset import load_dataset
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import record_data


@pytest.fixture(scope="session")
def small_dataset(small_config, session_paths):
    return load_dataset(small_config, session_paths, side=48)


@pytest.fixture
def begun(paths, session_paths, small_config):
    """A function that makes a run with changed settings, and returns it with its data.

    A trial ends sooner: without export and plots, scored on its validation images.
    """

    def make(*, kind="train", **settings):
        changed = small_config.model_dump() | {"threads": 0, "network_options": {}} | settings
        config = networks.with_all_options(small_config.model_validate(changed))
        dataset = load_dataset(config, session_paths, side=48)
        run = create_run(paths, config, recipe="smoke", kind=kind, history_header=HISTORY_HEADER)
        record_data(run, dataset)
        return run, dataset

    return make
