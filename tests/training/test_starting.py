"""Where a training may start from, and what is refused."""

import shutil

import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.store.artifacts import load_model
from fer_core.store.promotion import model_in_use
from fer_core.store.runs import SHIPPED_BEST, create_run
from fer_core.training.starting import start_from, starting_model

SMOKE = TrainConfig(network="smoke")


def test_a_run_the_model_in_use_and_a_file_are_found(trained_run, session_paths, tmp_path):
    copy = shutil.copy(trained_run.model_h5, tmp_path / "copy.h5")
    assert starting_model(trained_run.id, session_paths) == trained_run.model_h5
    assert starting_model("current", session_paths) == model_in_use(session_paths) / "model.h5"
    assert str(starting_model(str(copy), session_paths)) == str(copy)
    assert starting_model("best", session_paths) == SHIPPED_BEST / "model.h5"


def test_what_is_not_there_is_refused_with_what_there_is(trained_run, session_paths, tmp_path, paths):
    with pytest.raises(ArtifactError, match=r"There is no model file .*missing\.h5"):
        starting_model(str(tmp_path / "missing.h5"), session_paths)
    with pytest.raises(ArtifactError, match="There is no run") as caught:
        starting_model(trained_run.id[:-1], session_paths)
    assert caught.value.hint == f"Did you mean {trained_run.id!r}?"
    with pytest.raises(ArtifactError, match="There is no model file") as caught:
        starting_model(str(tmp_path / "missing.h5"), session_paths, flag="--teacher")
    assert caught.value.hint == "--teacher takes a .h5, a run id or 'current'."
    run = create_run(paths, SMOKE)
    with pytest.raises(ArtifactError, match=r"has no model yet \(QUEUED\)"):
        starting_model(run.id, paths)


def test_with_the_same_labels_all_layers_are_taken(trained_run):
    labels = trained_run.manifest.labels
    network = networks.build(SMOKE, labels)
    assert start_from(network, trained_run.model_h5, labels).endswith("all layers.")
    for mine, theirs in zip(network.get_weights(), load_model(trained_run.model_h5).get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("labels", [("angry", "happy"), ("a", "b", "c", "d", "e", "f", "g")])
def test_with_other_labels_the_last_layer_stays_new(trained_run, labels):
    network = networks.build(SMOKE, labels)
    before = network.layers[-1].get_weights()[0]
    assert "all layers but the last" in start_from(network, trained_run.model_h5, labels)
    np.testing.assert_array_equal(network.layers[-1].get_weights()[0], before)
    theirs = load_model(trained_run.model_h5).get_weights()
    for mine, their in zip(network.get_weights()[:-2], theirs[:-2], strict=True):
        np.testing.assert_array_equal(mine, their)


def test_a_model_without_our_manifest_gives_all_but_its_last_layer(trained_run, tmp_path):
    foreign = tmp_path / "foreign.h5"
    load_model(trained_run.model_h5).save(foreign)
    labels = trained_run.manifest.labels
    assert "but the last" in start_from(networks.build(SMOKE, labels), foreign, labels)


@pytest.mark.parametrize("options", [{"filters": (4, 4, 4)}, {"filters": (4,)}, {"filters": (16, 32, 64, 64)}])
def test_another_architecture_is_refused(trained_run, options):
    config = SMOKE.model_copy(update={"network_options": options})
    network = networks.build(config, trained_run.manifest.labels)
    with pytest.raises(ArtifactError, match="is of another architecture") as caught:
        start_from(network, trained_run.model_h5, trained_run.manifest.labels)
    assert "--network-options" in caught.value.hint
