"""The benchmark's files, as they import each other when they are run."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_file(monkeypatch):
    """Returns a function that imports a file of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def import_file(name: str) -> ModuleType:
        return importlib.import_module(name)

    return import_file
