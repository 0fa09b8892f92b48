"""Reading faces needs none of the packages that the extras bring."""

import json
import tomllib

import cv2
import numpy as np
import pytest

from fer_core.data.sample import draw_face
from fer_core.errors import _EXTRAS, FerError, missing_package
from tests.conftest import PROJECT
from tests.script import Answer, run_script

PROJECT_TOML = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LEFT_OUT = {name for names in _EXTRAS.values() for name in names} | {"av"}
BLOCKS = f"import sys\nsys.modules.update(dict.fromkeys({sorted(LEFT_OUT)}))\n"
"""To Python it is then as if they were not installed."""
ONE_AFTER_THE_OTHER = """
import contextlib, json, sys
from pathlib import Path
from fer_core.cli import ended, live, train
for program, *arguments in json.loads(sys.argv[1]):
    main, folders = (live.main, sys.argv[2:4]) if program == "live" else (train.main, sys.argv[2:])
    with open("out", "w") as out, open("err", "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = ended(main, [*arguments, *folders])
    print(json.dumps([code, *(Path(name).read_text() for name in ("out", "err"))]))
"""


def test_pictures_are_read_and_what_is_missing_for_more_is_named(paths, tmp_path, test_data):
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "sitecustomize.py").write_text(BLOCKS)
    (tmp_path / "faces").mkdir()
    for name in ("happy", "sad"):
        cv2.imwrite(str(tmp_path / "faces" / f"{name}.png"), draw_face(name, np.random.default_rng(10), side=200))
    commands = [
        f"live --source {tmp_path / 'faces'} --faces given --no-display --log {tmp_path / 'log.csv'}",
        f"live --source {test_data / 'faces' / 'single_face.mp4'} --no-display --json",
        "live --analyze --data sample",
        "train --data sample --recipe smoke",
    ]
    where, script = {"PYTHONPATH": f"{tmp_path / 'blocks'}:{PROJECT}"}, ("-c", ONE_AFTER_THE_OTHER)
    arguments = json.dumps([command.split() for command in commands])
    said = run_script(arguments, paths=paths, script=script, environment=where)
    assert (said.code, said.err) == (0, "")
    pictures, video, analysis, training = (Answer(*json.loads(line)) for line in said.out.splitlines())
    assert (pictures.code, pictures.err) == (0, "")
    assert "happy.png: happy" in pictures.out and "No summary: pandas is not installed." in pictures.out
    assert (video.code, video.hint) == (2, "`pip install av` brings it.")
    assert analysis.code == 2 and 'pip install ".[train]"' in analysis.hint
    assert training.code == 2 and training.problem.startswith("Error: This needs ")


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
