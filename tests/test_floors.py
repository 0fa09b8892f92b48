"""The architecture: imports only go down, and what must be light loads nothing heavy."""

import ast
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).parents[1]
FLOORS = ("words", "data", "networks", "store", "faces", "evaluation", "training", "tuning", "live", "job", "cli")
WORDS = ("errors", "resources", "emotions", "config", "recipes", "paths", "interruption")
PROGRAMS = ("train_emotion_model", "realtime_emotion_detector", "jobs", "fer_core.cli", "fer_core.web")
TENSORFLOW_ONLY_IN = {
    "fer_core.training.fast_tensorflow",
    "fer_core.training.machine",
    "fer_core.store.export",
    "fer_core.evaluation.explain",
}
HEAVY = ("tensorflow", "keras", "jax", "matplotlib", "sklearn", "pandas", "cv2", "h5py")


def modules() -> dict[str, Path]:
    """Returns our modules by their dotted names."""
    files = [*PROJECT.glob("*.py"), *PROJECT.glob("fer_core/**/*.py"), *PROJECT.glob("jobs/**/*.py")]
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def floor(module: str) -> int:
    """Returns how high a module stands."""
    if module.startswith(PROGRAMS):
        return FLOORS.index("cli")
    room = f"{module}.".split(".")[1]
    return FLOORS.index("words" if room in (*WORDS, "") else room)


def imports(module: str, path: Path) -> set[str]:
    """Returns all that a file imports, also inside functions and for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            source = importlib.util.resolve_name(dots + (node.module or ""), package) if dots else node.module
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


def test_every_room_has_its_floor():
    assert all(0 <= floor(name) < len(FLOORS) for name in modules())


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_only_go_down(module):
    own = {name for name in imports(module, modules()[module]) if name in modules()}
    upward = sorted(name for name in own if floor(name) > floor(module))
    assert not upward, f"{module} ({FLOORS[floor(module)]}) imports from above: {', '.join(upward)}"


def test_only_four_modules_know_tensorflow():
    knowing = {name for name, path in modules().items() if any(i.startswith("tensorflow") for i in imports(name, path))}
    assert knowing <= TENSORFLOW_ONLY_IN


def test_the_package_itself_imports_nothing():
    assert imports("fer_core", PROJECT / "fer_core" / "__init__.py") == set()


def test_only_jobs_import_jobs():
    others = {name: path for name, path in modules().items() if not name.startswith("jobs")}
    assert [
        name for name, path in others.items() if {i.partition(".")[0] for i in imports(name, path)} & {"jobs"}
    ] == []


def test_jobs_never_import_keras():
    for name, path in modules().items():
        if name.startswith("jobs"):
            assert not {i.partition(".")[0] for i in imports(name, path)} & {"keras", "tensorflow", "jax"}


LIST_MODULES = """
import runpy, sys
script, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def loaded_by(*command: str, tmp_path: Path) -> list[str]:
    """Returns the packages that a script has loaded when it ends."""
    folders = {"FER_MODELS_DIR": str(tmp_path / "models"), "FER_HISTORY_DIR": str(tmp_path / "history")}
    began = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *command],
        env=os.environ | folders | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    print(f"{' '.join(command)}: {time.perf_counter() - began:.2f} s")
    assert child.returncode == 0, child.stderr
    return child.stderr.rpartition("loaded: ")[2].split()


@pytest.mark.parametrize(
    ("script", "flag"),
    [
        ("train_emotion_model.py", "--help"),
        ("train_emotion_model.py", "--list-recipes"),
        ("train_emotion_model.py", "--history"),
        ("realtime_emotion_detector.py", "--help"),
    ],
)
def test_what_only_answers_loads_nothing_heavy(script, flag, tmp_path):
    loaded = loaded_by(str(PROJECT / script), flag, tmp_path=tmp_path)
    assert [name for name in HEAVY if name in loaded] == []
    assert list(tmp_path.iterdir()) == []


def test_reading_a_face_loads_no_keras(tmp_path):
    picture = tmp_path / "grey.png"
    picture.write_bytes(cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes())
    script = str(PROJECT / "realtime_emotion_detector.py")
    loaded = loaded_by(script, "--source", str(picture), "--faces", "given", "--no-display", tmp_path=tmp_path)
    assert [name for name in ("tensorflow", "keras", "jax", "sklearn", "matplotlib", "pandas") if name in loaded] == []
    assert "ai_edge_litert" in loaded
