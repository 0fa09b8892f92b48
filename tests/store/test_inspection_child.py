"""A file that makes its reader hang or crash is refused; whatever is found otherwise is told as without the child."""

import os

import pytest

from fer_core.errors import ArtifactError
from fer_core.store.inspection import inspect_model
from fer_core.store.inspection_child import inspect_apart
from fer_core.store.shipped import SHIPPED_BEST


def test_the_facts_are_those_that_are_found_without_the_child():
    path = SHIPPED_BEST / "model.h5"
    assert inspect_apart(path) == inspect_model(path)


def test_a_refusal_is_told_with_the_same_words(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError) as direct:
        inspect_model(path)
    with pytest.raises(ArtifactError) as apart:
        inspect_apart(path)
    assert (str(apart.value), apart.value.hint) == (str(direct.value), direct.value.hint)


def test_a_file_that_does_not_exist_needs_no_child(tmp_path):
    with pytest.raises(ArtifactError, match="There is no model file"):
        inspect_apart(tmp_path / "none.h5")


def test_a_reader_that_hangs_is_ended(tmp_path):
    path = SHIPPED_BEST / "model.h5"
    with pytest.raises(ArtifactError, match=r"took longer than 0\.01 s"):
        inspect_apart(path, longest_seconds=0.01)


def test_a_reader_that_crashes_is_told(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with pytest.raises(ArtifactError, match=r"crashed \(exit code -11\)"):
        inspect_apart(SHIPPED_BEST / "model.h5")
