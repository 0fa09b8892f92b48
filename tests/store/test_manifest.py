import json
import subprocess

import pytest
from pydantic import ValidationError

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.store.manifest import Manifest, SplitMetadata, TrainingImages, checkout_commit, installed_versions


@pytest.fixture
def manifest():
    return Manifest(
        run_id="20260131-120000-smoke-0000",
        created_utc="2026-01-31T12:00:00.000Z",
        kind="train",
        config=TrainConfig(),
        history_csv="training_history_20260131_120000.csv",
        seed=0,
        splits={"test": SplitMetadata(name="PrivateTest", images=3589)},
    )


def with_changes(manifest, **changes):
    text = json.dumps(json.loads(manifest.to_json()) | changes)
    return Manifest.from_json(text, where="here")


def test_a_manifest_reads_back_as_it_was(manifest):
    framing = {"haar": {"scale": 1.2, "right": 0.1, "down": -0.1}}
    images = TrainingImages(count=3, sha256="ab")
    whole = manifest.completed({"training_images": images, "labels": ("a", "b"), "framing": framing})
    assert Manifest.from_json(whole.to_json(), where="manifest.json") == whole
    values = json.loads(whole.to_json())
    assert (values["schema"], values["framing"]) == (1, framing)
    assert with_changes(manifest, config={}).config == TrainConfig()


def test_an_unknown_field_and_a_frozen_one_are_refused(manifest):
    with pytest.raises(ValidationError, match="colour"):
        manifest.completed({"colour": "red"})
    with pytest.raises(ValidationError, match="frozen"):
        manifest.side = 48


@pytest.mark.parametrize("change", [{"schema": 2}, {"new_field": 1}, {"seed": "x"}], ids=str)
def test_a_manifest_of_another_version_is_named(manifest, change):
    with pytest.raises(ArtifactError, match=rf"here is no manifest of this version: {next(iter(change))}: ") as caught:
        with_changes(manifest, **change)
    assert "schema 1" in caught.value.hint


NO_FRAMING = [1.0, {"right": 0.0}, {"scale": 1.0, "up": 0.0}, {"scale": 1.0, "right": float("nan")}]
NO_FRAMING += [{"scale": scale} for scale in (0.0, 1e9, float("inf"), "nan")]


@pytest.mark.parametrize("framing", [[1.0], *({"haar": one} for one in NO_FRAMING)], ids=str)
def test_a_framing_that_cuts_out_nothing_is_refused(manifest, framing):
    with pytest.raises(ArtifactError, match="here is no manifest of this version"):
        with_changes(manifest, framing=framing)


def test_a_manifest_that_would_not_fit_into_an_h5_is_refused_and_one_of_a_hundred_classes_fits(manifest):
    with pytest.raises(ArtifactError, match="bytes; at most 60,000 fit") as caught:
        manifest.completed({"scores": {"note": "x" * 60_000}}).to_json()
    assert "evaluation.json" in caught.value.hint
    labels = [f"class_{number:03}" for number in range(100)]
    per_class = {label: {"precision": 0.12345678, "recall": 0.12345678, "f1": 0.12345678} for label in labels}
    assert len(manifest.completed({"labels": labels, "scores": per_class}).to_json()) < 30_000


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_versions_and_the_commit_of_the_projects_own_checkout_are_noted(tmp_path, monkeypatch):
    assert {"python", "keras", "numpy", "opencv", "fer-workbench"} <= set(installed_versions())
    assert checkout_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert checkout_commit(tmp_path) is None
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert checkout_commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD")
    inside = tmp_path / "site-packages"
    inside.mkdir()
    assert checkout_commit(inside) is None
    monkeypatch.setenv("PATH", str(inside))
    assert checkout_commit(tmp_path) is None, "there is no git"
