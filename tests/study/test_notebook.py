"""docs/study.ipynb runs from its first cell to its last, and finds what was drawn."""

import json
from typing import Any

from tests.conftest import PROJECT


def test_every_cell_of_the_notebook_runs(monkeypatch, paths):
    monkeypatch.setenv("FER_MODELS_DIR", str(paths.models))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = json.loads((PROJECT / "docs" / "study.ipynb").read_text(encoding="utf-8"))
    known: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), known)
    readings = known["readings"]
    assert readings["file"].value_counts().to_dict() == {"film.mp4": 80} | {
        f"{emotion}.png": 1 for emotion in ("happy", "sad", "angry", "surprise")
    }
