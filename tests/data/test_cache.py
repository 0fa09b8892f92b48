"""The cache of decoded images: built once, whole or not at all, built again when something changed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_core.data.cache import check_free_space
from fer_core.errors import DatasetError
from tests.data.conftest import fill_folder
from tests.store.conftest import largest_file

LOAD = """
import sys
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.paths import Paths

def report(text):
    print(text, flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.readline()

dataset = load_dataset(TrainConfig(data=sys.argv[1]), Paths.from_environment(), side=48, report=report)
print(dataset.fingerprint)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """A folder with more images than lie between two progress sentences; tests must not change it."""
    return fill_folder(tmp_path_factory.mktemp("many"), 350)


@pytest.fixture
def start(paths):
    """Returns start(data, mode): another process that loads the data with the same cache; "wait": at each report."""
    environment = os.environ | {"FER_CACHE_DIR": str(paths.cache)}
    started: list[subprocess.Popen] = []

    def start(data: Path, mode: str = "go") -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-c", LOAD, str(data), mode], env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def cached(paths) -> list[str]:
    return sorted(path.name for path in (paths.cache / "datasets").iterdir() if path.suffix != ".lock")


def test_the_second_time_nothing_is_decoded(load, many):
    reports: list[str] = []
    first = load(many, report=reports.append)
    assert reports == ["decoding 1,000 of 1,050 images"]
    second = load(many, report=reports.append)
    assert len(reports) == 1
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.train.images(slice(None)), first.train.images(slice(None)))


def test_seed_and_validation_need_no_new_cache_and_another_side_does(load, paths, train_and_test):
    for settings in ({"seed": 1}, {"seed": 2}, {"validation": "none"}, {"validation_fraction": 0.3}):
        load(train_and_test, **settings)
    assert len(cached(paths)) == 1
    load(train_and_test, side=32)
    assert len(cached(paths)) == 2


def test_the_cache_of_changed_data_takes_the_place_of_the_old_one_whose_images_in_use_stay_readable(
    load, paths, train_and_test
):
    dataset, before = load(train_and_test), cached(paths)
    expected = dataset.train.images(slice(None)).copy()
    (train_and_test / "train" / "sad" / "00029.png").unlink()
    load(train_and_test)
    assert len(cached(paths)) == 1 and cached(paths) != before
    assert np.array_equal(dataset.train.images(slice(None)), expected)


@pytest.mark.parametrize("part", ["pixels.u8", "contents.npz", "contents.json"])
@pytest.mark.parametrize("kept", [0.0, 0.6])
def test_a_damaged_cache_is_built_again(load, paths, train_and_test, part, kept):
    first = load(train_and_test)
    expected = first.train.images(slice(None))
    path = paths.cache / "datasets" / cached(paths)[0] / part
    os.truncate(path, int(path.stat().st_size * kept))
    again = load(train_and_test)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.train.images(slice(None)), expected)


def test_a_kill_while_decoding_leaves_nothing_under_the_final_name_and_the_next_build_is_good(load, paths, many, start):
    process = start(many, "wait")
    assert process.stdout.readline() == "decoding 1,000 of 1,050 images\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name.rsplit(".")[-1] for name in cached(paths)] == ["building"]
    dataset = load(many)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [756, 84, 210]
    assert len(cached(paths)) == 1
    assert not cached(paths)[0].endswith(".building")


def test_two_processes_at_once_decode_once_and_both_use_it(many, paths, start):
    first = start(many, "wait")
    assert first.stdout.readline() == "decoding 1,000 of 1,050 images\n"
    second = start(many)
    assert second.stdout.readline() == "waiting for another process that decodes the same images\n"
    fingerprints = [first.communicate("\n")[0], second.communicate()[0]]
    assert fingerprints[0] == fingerprints[1]
    assert len(fingerprints[0].split()) == 1
    assert len(cached(paths)) == 1


def test_data_that_is_refused_leaves_no_cache(load, paths, fill, tmp_path):
    with pytest.raises(DatasetError, match="one class only"):
        load(fill(tmp_path / "one", emotions=("sad",)))
    assert cached(paths) == []


def test_too_little_disk_is_said_with_figures_before_anything_is_decoded(tmp_path):
    message = r"Too little disk .*: 1,000,000,000,000 MB needed, .* has [\d,]+ MB free"
    with pytest.raises(DatasetError, match=message) as error:
        check_free_space(tmp_path, 10**18)
    assert "FER_CACHE_DIR" in error.value.hint


def test_a_disk_that_fills_up_while_writing_is_said_and_nothing_is_left(load, paths, many):
    message = r"cannot be written to .*: File too large \([\d,]+ MB free\)"
    with largest_file(500_000), pytest.raises(DatasetError, match=message):
        load(many)
    assert cached(paths) == []
    assert len(load(many).train) == 756


def test_a_cache_folder_that_cannot_be_made_is_said(load, paths, train_and_test):
    paths.cache.write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match=r"cannot be written to .*: Not a directory") as error:
        load(train_and_test)
    assert "FER_CACHE_DIR" in error.value.hint
