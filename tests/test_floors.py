"""The architecture: imports only go down, and what must be light loads nothing heavy."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).parents[1]
FLOORS = (
    "words",
    "faces",
    "data",
    "networks",
    "store",
    "evaluation",
    "training",
    "tuning",
    "live",
    "study",
    "job",
    "cli",
)
WORDS = ("errors", "resources", "locks", "emotions", "labels", "config", "recipes", "paths")
PROGRAMS = ("train_emotion_model", "realtime_emotion_detector", "jobs", "fer_core.cli", "fer_core.web")
TENSORFLOW_ONLY_IN = {
    "fer_core.training.fast_tensorflow",
    "fer_core.training.machine",
    "fer_core.store.export",
    "fer_core.evaluation.explain",
}
HEAVY = ("tensorflow", "keras", "jax", "matplotlib", "sklearn", "pandas", "cv2", "av", "h5py")

PRIVATE_WORDS = {
    *("doors", "places", "wish", "wishes", "desk", "looks", "performing", "performance", "supervisor", "keeper"),
    *("twin", "lessons", "teaching", "goodness", "moments", "emotionreader"),
}
"""What only this project called so; the field has words of its own for all of it."""

FILES = [*PROJECT.glob("*.py"), *PROJECT.glob("fer_core/**/*.py"), *PROJECT.glob("jobs/**/*.py")]
MODULES = {".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def floor(module: str) -> int:
    """Returns how high a module stands."""
    if module.startswith(PROGRAMS):
        return FLOORS.index("cli")
    room = f"{module}.".split(".")[1]
    return FLOORS.index("words" if room in (*WORDS, "") else room)


def imports(module: str) -> set[str]:
    """Returns all that a module imports, also inside functions and for type checkers only."""
    return {name for node in ast.walk(TREES[module]) for names in imported_by(node, module) for name in names}


def imports_on_import(module: str) -> set[str]:
    """Returns our modules that a module imports when it is imported itself."""
    statements = run_on_import(TREES[module].body)
    found = [names for node in statements for names in imported_by(node, module)]
    return {next((name for name in names if name in MODULES), module) for names in found} - {module}


def imported_by(node: ast.AST, module: str) -> Iterator[tuple[str, ...]]:
    """Yields, for each name that a statement imports, what it may be: a module, or a name of its package."""
    if isinstance(node, ast.Import):
        yield from ((alias.name,) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
        source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        yield from ((f"{source}.{alias.name}", source) for alias in node.names)


def run_on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the statements outside functions, but for those that only type checkers read."""
    for node in body:
        yield node
        for_type_checkers = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not for_type_checkers:
            for inner in ("body", "orelse", "handlers", "finalbody"):
                yield from run_on_import(getattr(node, inner, []))


def test_every_room_has_its_floor_and_imports_only_go_down():
    upward = {
        f"{module} ({FLOORS[floor(module)]}) imports {name} from above"
        for module in MODULES
        for name in imports(module) & MODULES.keys()
        if floor(name) > floor(module)
    }
    assert not upward


def test_no_module_is_imported_by_what_it_imports():
    TopologicalSorter({module: imports_on_import(module) for module in MODULES}).prepare()  # CycleError has the circle


def test_fer_core_never_imports_jobs():
    above = {
        module
        for module in MODULES
        if module.startswith("fer_core") and any(f"{name}.".startswith("jobs.") for name in imports(module))
    }
    assert not above


def private_names(module: str) -> list[str]:
    """Returns the names of a module, its classes and its public functions that have one of our own words in them."""
    defined = [node.name for node in ast.walk(TREES[module]) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    names = [*module.split("."), *(name for name in defined if not name.startswith("_"))]
    return [name for name in names if {name.lower(), *words_of(name)} & PRIVATE_WORDS]


def words_of(name: str) -> set[str]:
    """Returns the words of a_name or AName; "looks like" is everyone's."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+", name.replace("looks_like", ""))}


def test_names_are_the_words_of_the_field():
    found = {module: names for module in MODULES if (names := private_names(module))}
    assert not found


def test_only_four_modules_know_tensorflow():
    knowing = {module for module in MODULES if any(name.startswith("tensorflow") for name in imports(module))}
    assert knowing <= TENSORFLOW_ONLY_IN


def test_the_package_itself_imports_nothing():
    assert imports("fer_core") == set()


def test_jobs_never_import_keras():
    for module in MODULES:
        if module.startswith("jobs"):
            assert not {name.partition(".")[0] for name in imports(module)} & {"keras", "tensorflow", "jax"}


LIST_MODULES = """
import runpy, sys
for command in sys.argv[1:]:
    script, *sys.argv[1:] = command.split("\x1f")
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, command
    print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def loaded_by(*commands: tuple[str, ...], tmp_path: Path) -> list[str]:
    """Returns the packages that scripts, in one process, have loaded when they end."""
    folders = {"FER_MODELS_DIR": str(tmp_path / "models"), "FER_HISTORY_DIR": str(tmp_path / "history")}
    child = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *("\x1f".join(command) for command in commands)],
        env=os.environ | folders,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (child.returncode, child.stderr.count("loaded: ")) == (0, len(commands)), child.stderr
    return child.stderr.rpartition("loaded: ")[2].split()


def test_what_only_answers_loads_nothing_heavy(tmp_path):
    training, detector = str(PROJECT / "train_emotion_model.py"), str(PROJECT / "realtime_emotion_detector.py")
    commands = [(training, flag) for flag in ("--help", "--list-recipes", "--history")]
    loaded = loaded_by(*commands, (detector, "--help"), tmp_path=tmp_path)
    assert [name for name in HEAVY if name in loaded] == []
    assert list(tmp_path.iterdir()) == []


def test_reading_a_face_and_drawing_it_loads_no_keras(tmp_path):
    picture = tmp_path / "grey.png"
    picture.write_bytes(cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes())
    flags = ("--source", str(picture), "--faces", "given", "--no-display", "--output", str(tmp_path / "drawn.png"))
    loaded = loaded_by((str(PROJECT / "realtime_emotion_detector.py"), *flags), tmp_path=tmp_path)
    assert [name for name in ("tensorflow", "keras", "jax", "sklearn", "matplotlib", "pandas") if name in loaded] == []
    assert "ai_edge_litert" in loaded and (tmp_path / "drawn.png").is_file()


@pytest.mark.parametrize(
    ("modules", "others"),
    [
        ("jobs.tasks, jobs.sweep, jobs.schedule, jobs.__main__", {"cv2"}),  # in every process of Celery
        ("fer_core.tuning.trials, fer_core.tuning.space, fer_core.training.retraining", {"cv2", "numpy", "h5py"}),
        ("fer_core.evaluation.analysis, fer_core.cli.report, fer_core.cli.live_session", {"scipy"}),
    ],
)
def test_what_is_imported_to_answer_at_once_is_light(modules, others):
    code = f"import {modules}, sys; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    heavy = {"keras", "tensorflow", "jax", "keras_tuner", "matplotlib", "sklearn", "pandas"}
    assert (heavy | others) & set(child.stdout.split()) == set()


def test_no_two_classes_have_one_name():
    named = [
        (node.name, module)
        for module, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not module.startswith("fer_core.networks.")  # each has its Options
    ]
    counts = Counter(name for name, _ in named)
    assert [one for one in named if counts[one[0]] > 1] == []
