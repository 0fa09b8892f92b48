"""The decision about a finished retraining: what is better is put into use, once, and the reason is written down.

The models' predictions are given here; that Keras makes them is shown in tests/cli/test_retrain.py.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.metrics import evaluate_probabilities
from fer_core.store.files import file_sha256, read_json, write_json
from fer_core.store.model_files import find_model
from fer_core.store.promotion import current, promote, rollback
from fer_core.store.run import Run
from fer_core.training.deciding import Decision, decide, fair_images
from fer_core.training.retraining import RetrainSpec
from tests.training.parts import change_manifest

NOWHERE = Path("nowhere")


def answers(dataset: Dataset, *, right: float, seed: int = 0) -> np.ndarray:
    """Returns what a model answers on test that is right in about that share of the images, and sure of it."""
    random = np.random.default_rng(seed)
    truth, classes = dataset.test.labels, len(dataset.labels)
    predictions = np.where(random.random(len(truth)) < right, truth, random.integers(0, classes, len(truth)))
    outputs = np.full((len(truth), classes), 0.01, np.float32)
    outputs[np.arange(len(truth)), predictions] = 1
    return outputs / outputs.sum(axis=1, keepdims=True)


@pytest.fixture
def finished(in_use, paths, small_dataset) -> Callable[..., Run]:
    """Returns finished(outputs, name): a retraining that has just ended, with these answers on test."""

    def finished(outputs: np.ndarray, name: str = "challenger") -> Run:
        folder = shutil.copytree(in_use.folder, paths.models / "runs" / name)
        run = Run(folder, paths.history)
        change_manifest(run, run_id=name, kind="retrain", parent=in_use.id, promote=False, temperature=1.0)
        (folder / "model.h5").write_bytes(name.encode())
        evaluation = evaluate_probabilities(
            outputs,
            small_dataset.test.labels,
            label_names=small_dataset.labels,
            split="test",
            model_sha256=file_sha256(folder / "model.h5"),
        )
        write_json(folder / "evaluation.json", evaluation.to_json())
        return run

    return finished


@pytest.fixture
def decided(in_use, paths, small_dataset) -> Callable[..., Decision]:
    """Returns decided(run, {model: answers}): the decision about a run, where models answer so."""

    def decided(run: Run, given: dict[str, np.ndarray], **options) -> Decision:
        spec = RetrainSpec(max_calibration_loss=1, **options.pop("spec", {}))
        predict = options.pop("predict", lambda model, dataset: given[model.name])
        return decide(run, small_dataset, spec, paths, predict=predict, **{"shipped": NOWHERE} | options)

    return decided


@pytest.fixture
def poor(small_dataset) -> np.ndarray:
    return answers(small_dataset, right=0.3)


@pytest.fixture
def good(small_dataset) -> np.ndarray:
    return answers(small_dataset, right=0.95, seed=1)


def test_the_better_one_is_put_into_use_and_the_reason_is_written_down(finished, decided, in_use, paths, poor, good):
    worse = finished(poor, "worse")
    decision = decided(worse, {in_use.id: good, "worse": poor})
    assert (decision.better, decision.promoted, current(paths).run) == (False, False, in_use.id)
    assert decision.reasons[0].startswith("Macro F1 is not measurably higher")
    assert decision.sentences()[-1] == "Run worse is kept, and not put into use."
    run = finished(good)
    decision = decided(run, {in_use.id: poor, run.id: good})
    assert (decision.better, decision.promoted, current(paths).run) == (True, True, run.id)
    assert decision.remarks[0] == f"Compared with {in_use.id}, the model in use, on test."
    assert decision.reasons[0].startswith("Macro F1 rises from")
    assert Decision.model_validate(read_json(run.folder / "promotion.json", "decision")) == decision
    assert decision.figures["reloaded"]["macro_f1"]["recorded"] == decision.figures["macro_f1"]["challenger"]


@pytest.mark.parametrize("killed", ["before it was carried out", "after"])
def test_decided_again_also_after_a_kill_it_is_the_same_decision_and_no_model_is_asked(
    finished, decided, in_use, paths, poor, good, killed
):
    run = finished(good)
    first = decided(run, {in_use.id: poor, run.id: good})
    assert decided(run, {}) == first
    write_json(run.folder / "promotion.json", first.model_dump(mode="json") | {"promoted": False})
    if killed == "before it was carried out":
        rollback(paths)
    assert decided(run, {}) == first
    assert (current(paths).run, current(paths).previous) == (run.id, (in_use.id,))


def test_a_torn_decision_is_made_again_against_the_same_model(finished, decided, in_use, poor, good):
    run = finished(good)
    outputs = {in_use.id: poor, run.id: good}
    first = decided(run, outputs)
    os.truncate(run.folder / "promotion.json", 40)
    again = decided(run, outputs)
    assert again.model_copy(update={"decided_utc": first.decided_utc}) == first


def test_one_that_somebody_took_out_of_use_is_not_put_back(finished, decided, in_use, paths, poor, good):
    run = finished(good)
    outputs = {in_use.id: poor, run.id: good}
    decided(run, outputs)
    rollback(paths)
    promote(paths, finished(good, "other"))
    decided(run, outputs | {"other": poor})
    assert current(paths).run == "other"


def test_a_model_that_was_promoted_meanwhile_is_the_one_to_beat(finished, decided, in_use, paths, poor, good):
    first, second = finished(good, "first"), finished(good, "second")
    outputs = {in_use.id: poor, "first": good, "second": good}
    assert decided(first, outputs).promoted
    decision = decided(second, outputs)
    assert (decision.champion, decision.promoted, current(paths).run) == ("first", False, "first")


def test_without_a_model_in_use_it_is_put_into_use(finished, decided, paths, good):
    run = finished(good)
    (paths.models / "current.json").unlink()
    decision = decided(run, {run.id: good})
    assert (decision.champion, decision.promoted) == (None, True)
    assert decision.reasons == ("There is no model in use that it would have to beat.",)


def test_a_model_with_other_labels_cannot_be_compared_and_stays(finished, decided, in_use, paths, good):
    run = finished(good)
    change_manifest(in_use, labels=["glad" if label == "happy" else label for label in in_use.manifest.labels])
    decision = decided(run, {run.id: good})
    assert not decision.promoted
    assert "Data and model do not have the same classes" in decision.reasons[0]


def test_a_saved_file_that_scores_something_else_is_another_or_cannot_be_read_is_not_put_into_use(
    finished, decided, in_use, paths, poor, good
):
    other = good.copy()
    other[0] = np.roll(other[0], 1)
    decision = decided(finished(good, "scores-else"), {in_use.id: poor, "scores-else": other})
    assert not decision.promoted
    assert decision.reasons[0].startswith("The saved model, loaded anew, has accuracy 0.")

    run = finished(good, "another")
    run.model_h5.write_bytes(b"other bytes")
    decision = decided(run, {in_use.id: poor, "another": good})
    assert decision.reasons == (f"{run.model_h5} is not the file that was scored when it was saved.",)

    def predict(model, dataset):
        raise ArtifactError(f"{model.name} is damaged.")

    decision = decided(finished(good), {}, predict=predict)
    assert decision.reasons == ("The saved model cannot be read again: challenger is damaged.",)
    assert current(paths).run == in_use.id


def test_drawn_faces_do_not_take_the_place_of_photographs(finished, decided, in_use, paths, poor, good):
    change_manifest(in_use, data_name="FER-2013", config={"data": "fer2013.zip"})
    run = finished(good)
    change_manifest(run, data_name="sample", config={"data": "sample"})
    for _ in range(2):
        decision = decided(run, {in_use.id: poor, run.id: good})
        assert (decision.better, decision.promoted, current(paths).run) == (True, False, in_use.id)
        assert len(decision.reasons) == 2
        assert "was trained on photographs and stays" in decision.reasons[1]


# What both have seen


def with_seen(run: Run, hashes: np.ndarray, **config) -> None:
    """Makes the run one that was trained on these images."""
    content = np.unique(hashes).tobytes()
    run.training_images.write_bytes(content)
    metadata = {"count": len(content) // 8, "sha256": file_sha256(run.training_images)}
    change_manifest(run, training_images=metadata, split_fingerprint="another", config=config)


def test_test_images_that_only_one_model_was_trained_on_are_left_out(in_use, paths, small_dataset):
    own, tested = small_dataset.hashes_seen_before_test(), small_dataset.test.hashes
    with_seen(in_use, np.append(own, tested[:5]))
    chosen, remarks = fair_images(find_model(in_use.id, paths), small_dataset)
    assert np.flatnonzero(~chosen).tolist() == [0, 1, 2, 3, 4]
    assert remarks == (f"5 of these {len(tested)} test images are left out: only one of the models has seen them.",)


@pytest.mark.parametrize(("classic", "remark"), [(False, "is not known"), (True, "may be too good")])
def test_where_it_is_not_known_or_chosen_on_test_all_are_compared_and_it_is_said(
    in_use, paths, small_dataset, classic, remark
):
    with_seen(in_use, small_dataset.test.hashes, **({"validation": "test"} if classic else {}))
    if not classic:
        in_use.training_images.unlink()
    chosen, remarks = fair_images(find_model(in_use.id, paths), small_dataset)
    assert chosen.all()
    assert remark in remarks[0]
