"""A promoted model is picked up while the loop runs."""

import concurrent.futures
import shutil

import pytest

from fer_core.live.classifier import CHECK_SECONDS, RETRY_SECONDS, ModelWatch
from fer_core.store.promotion import promote
from fer_core.store.runs import open_run
from tests.live.fakes import FakeClock


@pytest.fixture
def two_runs(trained_run, paths):
    """Two finished runs in one models folder, the first in use, where no shipped model stands above them."""
    runs = []
    for suffix in ("aaaa", "bbbb"):
        name = f"{trained_run.id[:-4]}{suffix}"
        shutil.copytree(trained_run.folder, paths.models / "runs" / name)
        runs.append(open_run(paths, name))
    promote(paths, runs[0], shipped=paths.models)
    return runs


class Watched:
    """A watch, its clock, and what it said."""

    def __init__(self, paths, loaded):
        self.clock, self.said = FakeClock(), []
        self.watch = ModelWatch(paths, loaded=loaded, runtime="litert", notice=self.said.append, clock=self.clock)

    def next_check(self):
        """Returns what the watch has after its next look and load."""
        self.clock.now += CHECK_SECONDS + 0.01
        found = self.watch.poll()
        if self.watch.loading is not None:
            concurrent.futures.wait([self.watch.loading], 60)
        return found or self.watch.poll()


def test_a_promoted_model_is_loaded_once_and_told(two_runs, paths):
    watched = Watched(paths, two_runs[0].id)
    promote(paths, two_runs[1], shipped=paths.models)
    classifier = watched.next_check()
    assert classifier.name == two_runs[1].id
    assert watched.said == [f"Now reading with {two_runs[1].id}, which was promoted just now."]
    assert watched.next_check() is None


def test_it_is_looked_at_most_once_a_second(two_runs, paths):
    watched = Watched(paths, two_runs[0].id)
    promote(paths, two_runs[1], shipped=paths.models)
    watched.clock.now += CHECK_SECONDS / 2
    assert watched.watch.poll() is None
    assert watched.watch.loading is None


def test_one_that_could_not_be_read_is_tried_again_later(two_runs, paths):
    watched = Watched(paths, two_runs[0].id)
    promote(paths, two_runs[1], shipped=paths.models)
    whole = two_runs[1].model_h5.read_bytes()
    two_runs[1].model_h5.unlink()
    assert watched.next_check() is None
    assert "cannot be used" in watched.said[0]
    two_runs[1].model_h5.write_bytes(whole)
    assert watched.next_check() is None  # not yet
    watched.clock.now += RETRY_SECONDS
    assert watched.next_check().name == two_runs[1].id


def test_a_broken_pointer_changes_nothing(two_runs, paths):
    watched = Watched(paths, two_runs[0].id)
    (paths.models / "current.json").write_text("{")
    assert watched.next_check() is None
    assert watched.said == []
