"""What all tests share: the real data, and one trained model for everybody who needs one."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.paths import Paths
from fer_core.recipes import recipe_config
from fer_core.store.promotion import promote
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run

PROJECT = Path(__file__).parents[1]
LONGEST = (
    *("jobs/test_cluster.py", "training/test_jax.py", "jobs/test_celery.py", "web/browser/test_accessibility.py"),
    *("jobs/test_up.py", "training/test_never_lost.py", "store/test_model_files.py", "web/browser/test_batches.py"),
    *("jobs/test_compose.py", "web/browser/test_live.py", "training/test_finish.py", "web/browser/test_upload.py"),
    *("jobs/test_read.py", "web/browser/test_device.py", "study/test_study.py", "web/browser/test_site.py"),
    *("cli/test_detector.py", "tuning/test_trial.py", "training/test_train.py"),
)
"""The files that take longest: those that mostly wait beside those that compute."""
Once = Callable[[str, Callable[[Path], None]], Path]
os.environ["PYTHONPATH"] = os.pathsep.join((str(PROJECT), str(PROJECT / "tests" / "without_jax")))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Does not have Python look for garbage again and again among all that is imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has the longest files begin first, so that processes side by side end together."""
    places = {PROJECT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def paths_in(folder: Path) -> Paths:
    """Returns places that lie in one folder."""
    return Paths.from_environment(
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
def paths(tmp_path) -> Paths:
    return paths_in(tmp_path)


@pytest.fixture(scope="session")
def small_config() -> TrainConfig:
    """A training of a few seconds on drawn faces."""
    settings = {"data": "sample", "sample_per_class": 60, "epochs": 3}
    return networks.with_all_options(TrainConfig.model_validate(recipe_config("smoke").model_dump() | settings))


@pytest.fixture(scope="session")
def session_paths(tmp_path_factory) -> Paths:
    return paths_in(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id) -> Once:
    """Makes what all processes of the suite use: `once(name, make)` returns the folder that `make(folder)` filled."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "made_once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def fer2013_cache(once, test_data) -> Path:
    """The cache in which FER-2013 lies decoded; it is decoded once for the whole suite."""
    config = TrainConfig(data=str(test_data / "fer2013.zip"))
    return once("fer2013", lambda folder: load_dataset(config, replace(paths_in(folder), cache=folder), side=48))


@pytest.fixture(scope="session")
def trained_run(once, session_paths, small_config) -> Run:
    """One finished run, in use; tests must not change it. Trained in a process of its own, as users do."""
    made = paths_in(once("trained_run", _train))
    for folder in ("models", "history", "cache"):
        shutil.copytree(getattr(made, folder), getattr(session_paths, folder), dirs_exist_ok=True)
    (run,) = list_runs(session_paths)
    assert run.manifest.config == small_config
    return run


@pytest.fixture(scope="session")
def training_output(once, trained_run) -> str:
    """What the training of the shared run printed."""
    return (once("trained_run", _train) / "output.txt").read_text(encoding="utf-8")


@pytest.fixture
def in_use(trained_run, session_paths, paths) -> Run:
    """A copy of the shared run that a test may change, in use in places of its own."""
    for folder in ("models", "history", "cache"):
        shutil.copytree(getattr(session_paths, folder), getattr(paths, folder))
    return open_run(paths, trained_run.id)


def _train(folder: Path) -> None:
    paths = paths_in(folder)
    flags = ["--data", "sample", "--recipe", "smoke", "--sample-per-class", "60", "--epochs", "3"]
    folders = ["--models-dir", str(paths.models), "--history-dir", str(paths.history)]
    environment = os.environ | {"FER_CACHE_DIR": str(paths.cache)}
    command = [sys.executable, "train_emotion_model.py", *flags, *folders]
    child = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=200)
    assert (child.returncode, child.stderr) == (0, "")
    (folder / "output.txt").write_text(child.stdout, encoding="utf-8")
    (run,) = list_runs(paths)
    # By itself it does not take the place of the project's own model, which was trained on photographs.
    promote(paths, run, shipped=folder / "nothing_shipped")


@pytest.fixture(scope="session")
def model_zoo(once) -> Path:
    """A folder of harmless and hostile model files, made by Keras in a process of its own (some 10 s)."""
    return once("zoo", _make_zoo)


def _make_zoo(folder: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, PROJECT / "tests" / "store" / "model_zoo.py", folder]
    subprocess.run(command, env=environment, capture_output=True, timeout=200, check=True)


@pytest.fixture
def before_every_call(monkeypatch):
    """A function that has `look` called before every call that puts a file in place: it sees what a kill leaves."""

    def install(look):
        checking = []

        def watched(function):
            def call(*arguments, **options):
                if not checking:
                    checking.append(True)
                    look()
                    checking.clear()
                return function(*arguments, **options)

            return call

        for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
            monkeypatch.setattr(os, name, watched(getattr(os, name)))

    return install
