"""Finished runs whose answers are averaged."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from measure import multiply_adds

from fer_core import networks
from fer_core.cli.train import main
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, DatasetError
from fer_core.evaluation.explain import explain
from fer_core.store.artifacts import load_model
from fer_core.store.runs import create_run, latest_unfinished, open_run
from fer_core.training.train import averaged, begin_ensemble, finish_ensemble, finished_members, train
from tests.training.parts import change_manifest


@pytest.fixture
def twice(in_use, paths):
    """The ids of a finished run and of a copy of it whose answers are others: its last layer is turned round."""
    copy = in_use.folder.with_name(f"{in_use.id}-copy")
    shutil.copytree(in_use.folder, copy)
    change_manifest(open_run(paths, copy.name), run_id=copy.name)
    model = load_model(copy / "model.h5")
    model.layers[-1].set_weights([-weight for weight in model.layers[-1].get_weights()])
    model.save(copy / "model.h5")
    return in_use.id, copy.name


def test_the_answers_of_an_ensemble_are_the_mean_of_its_members(tmp_path):
    config = TrainConfig(network="tiny", network_options={"stem": 4, "filters": (4, 8), "blocks": (1, 1)})
    members = [networks.build(config, ("a", "b", "c")) for _ in range(3)]
    faces = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 1)).astype(np.float32)
    expected = np.mean([np.asarray(member(faces)) for member in members], axis=0)
    averaged(members).save(tmp_path / "ensemble.h5")
    opened = keras.models.load_model(tmp_path / "ensemble.h5")
    np.testing.assert_allclose(opened(faces), expected, atol=1e-6)


def test_members_are_not_averaged_on_other_images_than_theirs(twice, paths, small_dataset):
    others = dataclasses.replace(small_dataset, split_fingerprint="another")
    with pytest.raises(DatasetError, match=r"are not those that run .* was begun with"):
        begin_ensemble(finished_members(twice, paths), others, paths, promote=False)


def test_an_ensemble_of_runs_is_a_finished_run_with_scores_and_exports(twice, paths, small_dataset):
    members = finished_members(twice, paths)
    run = begin_ensemble(members, small_dataset, paths, promote=False)
    evaluation = finish_ensemble(run, members, small_dataset)
    manifest = run.manifest
    assert run.state.status == "SUCCEEDED"
    assert (manifest.kind, manifest.members, manifest.parent) == ("ensemble", twice, None)
    chosen = manifest.scores["chosen_on"]
    assert chosen.startswith("The ensemble's temperature was chosen on validation (")
    assert all(f"{member.id}: {member.manifest.scores['chosen_on']}" in chosen for member in members)
    images = small_dataset.test.images(slice(None)).astype(np.float32)
    own_models = [load_model(member.model_h5) for member in members]
    answers = np.mean([np.asarray(member(images)) for member in own_models], axis=0)
    assert evaluation.accuracy == pytest.approx((answers.argmax(axis=1) == small_dataset.test.labels).mean())
    assert run.model_tflite.is_file() and run.evaluation_json.is_file()
    model = load_model(run.model_h5)
    assert multiply_adds(model) == 2 * multiply_adds(own_models[0])
    explained = explain(model, small_dataset.test.images(slice(0, 1))[0], labels=small_dataset.labels)
    assert explained.heat_layer.name.startswith("member_") and explained.heat.max() == pytest.approx(1.0)


def test_an_ensemble_that_is_cut_off_says_so_and_is_not_trained_when_it_is_resumed(
    twice, paths, small_dataset, monkeypatch
):
    members = finished_members(twice, paths)
    run = begin_ensemble(members, small_dataset, paths, promote=False)

    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_core.training.train.load_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finish_ensemble(run, members, small_dataset)
    assert (run.state.status, run.state.message) == ("INTERRUPTED", "Interrupted after epoch 0.")
    assert latest_unfinished(paths) is None
    folders = ["--models-dir", str(paths.models), "--history-dir", str(paths.history)]
    for resume in (lambda: train(run, small_dataset, paths=paths), lambda: main(["--resume", run.id, *folders])):
        with pytest.raises(ArtifactError, match="is an ensemble that was not finished") as caught:
            resume()
        assert caught.value.hint == f"Make it again: --ensemble {' '.join(twice)}"


def test_an_ensemble_has_at_least_two_different_finished_runs_of_the_same_labels(twice, in_use, paths, small_config):
    for names in ((in_use.id,), (in_use.id, in_use.id)):
        with pytest.raises(ArtifactError, match="at least two different runs"):
            finished_members(names, paths)
    waiting = create_run(paths, small_config)
    with pytest.raises(ArtifactError, match=f"Run {waiting.id} is not finished") as caught:
        finished_members((in_use.id, waiting.id), paths)
    assert caught.value.hint == f"Finish it: --resume {waiting.id}."
    change_manifest(open_run(paths, twice[1]), labels=in_use.manifest.labels[::-1])
    with pytest.raises(ArtifactError, match="differ in labels"):
        finished_members(twice, paths)
