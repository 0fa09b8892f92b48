"""Searches to ask and tell, without training anything."""

import itertools
from datetime import UTC, datetime

import pytest

from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import create_search
from fer_core.tuning.trials import Fingerprints

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
FINGERPRINTS = Fingerprints("images", "code")


@pytest.fixture
def make_search(paths):
    """A function that makes a search over a few settings of the smoke recipe."""
    numbers = itertools.count()

    def make(**settings):
        usual = {"recipe": "smoke", "max_trials": 6, "confirm_top": 0, "space": ("learning_rate", "batch_size", "flip")}
        return create_search(paths, SearchSpec(**usual | settings), search_id=f"search-{next(numbers)}")

    return make
