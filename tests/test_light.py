"""Reading faces needs none of the packages that the extras bring."""

import tomllib

import cv2
import numpy as np
import pytest

from fer_core.data.sample import draw_face
from fer_core.errors import _EXTRAS, FerError, missing_package
from tests.conftest import PROJECT
from tests.script import run_detector, run_script

PROJECT_TOML = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LEFT_OUT = {name for names in _EXTRAS.values() for name in names} | {"av"}
BLOCKS = "import sys\nfor name in {}:\n    sys.modules[name] = None\n"
"""To Python it is then as if they were not installed."""


@pytest.fixture
def light(tmp_path) -> dict[str, str]:
    """The environment of a process in which nothing of the extras can be imported."""
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "sitecustomize.py").write_text(BLOCKS.format(sorted(LEFT_OUT)))
    return {"PYTHONPATH": f"{tmp_path / 'blocks'}:{PROJECT}"}


def test_pictures_are_read_and_what_is_missing_for_more_is_named(light, paths, tmp_path, test_data):
    (tmp_path / "faces").mkdir()
    for name in ("happy", "sad"):
        cv2.imwrite(str(tmp_path / "faces" / f"{name}.png"), draw_face(name, np.random.default_rng(10), side=200))
    flags = ("--faces", "given", "--no-display", "--log", tmp_path / "log.csv")
    answer = run_detector("--source", tmp_path / "faces", *flags, paths=paths, environment=light)
    assert (answer.code, answer.err) == (0, "")
    assert "happy.png: happy" in answer.out and "No summary: pandas is not installed." in answer.out
    video = test_data / "faces" / "single_face.mp4"
    answer = run_detector("--source", video, "--no-display", "--json", paths=paths, environment=light)
    assert (answer.code, answer.hint) == (2, "`pip install av` brings it.")
    answer = run_detector("--analyze", "--data", "sample", paths=paths, environment=light)
    assert answer.code == 2 and 'pip install ".[train]"' in answer.hint
    answer = run_script("--data", "sample", "--recipe", "smoke", paths=paths, environment=light)
    assert answer.code == 2 and answer.problem.startswith("Error: This needs ")


def test_each_package_is_named_with_the_extra_that_brings_it():
    for extra, names in _EXTRAS.items():
        brought = " ".join(line for one in extra.split(",") for line in PROJECT_TOML["optional-dependencies"][one])
        for name in names:
            if name != "kombu":
                assert name.replace("_", "-").replace("sklearn", "scikit-learn") in brought
            error = missing_package(ModuleNotFoundError(name=name))
            assert isinstance(error, FerError) and f".[{extra}]" in error.hint
    with pytest.raises(ModuleNotFoundError):
        missing_package(ModuleNotFoundError(name="fer_core.missing"))
