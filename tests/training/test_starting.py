"""Where a training may start from, and what is refused."""

import shutil

import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST
from fer_core.store.artifacts import load_model
from fer_core.store.promotion import model_in_use
from fer_core.store.runs import create_run
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


OTHERS = ("a", "b", "c", "d", "e", "f", "g")


def test_all_layers_are_taken_or_all_but_the_last_where_its_labels_are_others_or_not_known(trained_run, tmp_path):
    source, same, foreign = trained_run.model_h5, trained_run.manifest.labels, tmp_path / "foreign.h5"
    model = load_model(source)
    model.save(foreign)
    theirs = model.get_weights()
    for path, labels in ((source, same), (source, ("angry", "happy")), (source, OTHERS), (foreign, same)):
        is_known, network = (path, labels) == (source, same), networks.build(SMOKE, labels)
        before = network.get_weights()
        assert ("all layers." if is_known else "all layers but the last") in start_from(network, path, labels)
        expected = theirs if is_known else [*theirs[:-2], *before[-2:]]
        for mine, their in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(mine, their)


@pytest.mark.parametrize("options", [{"filters": (4, 4, 4)}, {"filters": (4,)}])
def test_another_architecture_is_refused(trained_run, options):
    config = SMOKE.model_copy(update={"network_options": options})
    network = networks.build(config, trained_run.manifest.labels)
    with pytest.raises(ArtifactError, match="is of another architecture") as caught:
        start_from(network, trained_run.model_h5, trained_run.manifest.labels)
    assert "--network-options" in caught.value.hint
