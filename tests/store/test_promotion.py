import dataclasses
import json
import shutil

import pytest

from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST, SHIPPED_NAME, run_name
from fer_core.store.files import DiskFullError, file_sha256
from fer_core.store.foreign import read_labels
from fer_core.store.promotion import (
    Step,
    awaiting_promotion,
    current,
    labels_copy,
    model_copy,
    model_in_use,
    promote,
    rollback,
    step_back,
)


@pytest.fixture
def nothing_shipped(tmp_path):
    return tmp_path / "nothing_shipped"


def test_a_promoted_run_is_the_model_in_use(paths, make_finished_run, noon):
    run = make_finished_run(model=b"the model")
    done = promote(paths, run, clock=lambda: noon)
    assert done.promoted and run.id in done.sentence and "emotion_recognition_modelfer.h5" in done.sentence
    assert model_copy(paths).read_bytes() == b"the model"
    assert read_labels(labels_copy(paths)) == ("angry", "happy")
    assert json.loads((paths.models / "current.json").read_text()) == {
        "run": run.id,
        "previous": [],
        "promoted_utc": "2026-01-31T12:00:00.000Z",
        "sha256": file_sha256(run.model_h5),
    }
    assert model_in_use(paths) == run.folder
    second = make_finished_run()
    for _ in range(2):  # the second time it repairs the copies
        assert promote(paths, second).promoted
        assert current(paths).previous == (run.id,)
        assert model_copy(paths).read_bytes() == second.model_h5.read_bytes()
        model_copy(paths).unlink()


def test_rolling_back_goes_one_model_back_each_time_and_passes_over_what_is_gone(paths, make_finished_run):
    first, second, third, _ = runs = [make_finished_run() for _ in range(4)]
    for run in runs:
        promote(paths, run)
    assert rollback(paths).run == third.id
    assert model_copy(paths).read_bytes() == third.model_h5.read_bytes()
    shutil.rmtree(second.folder)
    assert rollback(paths).run == first.id
    with pytest.raises(ArtifactError, match=r"There is no model in .* to go back to: none was in use before, or"):
        rollback(paths, shipped=paths.models / "nothing shipped")
    assert model_in_use(paths) == first.folder


def test_before_all_promoted_ones_is_the_model_that_was_shipped(paths, make_finished_run):
    assert step_back(paths) is None
    assert awaiting_promotion(paths) is None
    first = make_finished_run()
    assert awaiting_promotion(paths) == first, "a kill came between its end and its promotion"
    promote(paths, first)
    assert awaiting_promotion(paths) is None
    assert step_back(paths) == Step(first.id, SHIPPED_NAME)
    assert rollback(paths) is None
    assert model_in_use(paths) == SHIPPED_BEST
    assert model_copy(paths).read_bytes() == (SHIPPED_BEST / "model.h5").read_bytes()
    assert len(read_labels(labels_copy(paths))) == 7
    promote(paths, first)
    assert current(paths).run == first.id


def test_a_step_back_that_is_another_one_by_now_is_not_taken(paths, make_finished_run):
    first, second, third = (make_finished_run() for _ in range(3))
    promote(paths, first)
    promote(paths, second)
    seen = step_back(paths)
    promote(paths, third)
    with pytest.raises(ArtifactError, match=f"{third.id} is in use now") as error:
        rollback(paths, wanted=seen)
    assert second.id in error.value.hint
    assert current(paths).run == third.id
    assert rollback(paths, wanted=step_back(paths)).run == second.id


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "INTERRUPTED", "FAILED"])
def test_an_unfinished_run_and_one_without_its_files_are_refused(paths, make_finished_run, status):
    run = make_finished_run()
    run.model_h5.unlink()
    run.labels_json.unlink()
    with pytest.raises(ArtifactError, match=r"has no model\.h5 and no labels\.json"):
        promote(paths, run)
    run.update_state(status=status)
    with pytest.raises(ArtifactError, match=rf"is not finished \(it is {status}\)") as caught:
        promote(paths, run)
    assert f"--resume {run.id}" in caught.value.hint
    assert current(paths) is None


def test_drawn_faces_never_take_the_place_of_photographs(paths, make_finished_run, nothing_shipped):
    drawn, photographs, drawn_again = (make_finished_run(data=data) for data in ("sample", "fer2013.zip", "sample"))
    assert promote(paths, drawn, shipped=nothing_shipped).promoted
    assert promote(paths, photographs).promoted
    refused = promote(paths, drawn_again)
    assert not refused.promoted
    assert refused.sentence.startswith("The model in use was trained on photographs and stays")
    assert model_in_use(paths) == photographs.folder


def test_drawn_faces_do_not_take_the_place_of_the_shipped_model_either(paths, make_finished_run):
    drawn = make_finished_run(data="sample")
    assert not promote(paths, drawn).promoted
    assert (model_in_use(paths), awaiting_promotion(paths)) == (SHIPPED_BEST, None)
    shutil.copytree(drawn.folder, paths.models / "shipped" / "best")  # a folder of that name is not the project's own
    assert not promote(paths, drawn).promoted
    assert run_name(paths.models / "shipped" / "best") == "best"
    assert run_name(SHIPPED_BEST) == SHIPPED_NAME
    named_by_data = make_finished_run()
    named_by_data.update_state(status="RUNNING")
    named_by_data.update_manifest(data_name="sample")
    named_by_data.update_state(status="SUCCEEDED")
    assert not promote(paths, named_by_data).promoted


def test_the_shipped_model_is_in_use_until_another_is_promoted(paths, make_finished_run, nothing_shipped):
    assert model_in_use(paths, shipped=nothing_shipped) is None
    shipped, run = make_finished_run().folder, make_finished_run()
    assert model_in_use(paths, shipped=shipped) == shipped
    promote(paths, run)
    assert model_in_use(paths, shipped=shipped) == run.folder


def test_a_model_in_use_that_is_gone_is_named_and_any_other_may_follow(paths, make_finished_run):
    photographs, drawn = make_finished_run(), make_finished_run(data="sample")
    promote(paths, photographs)
    shutil.rmtree(photographs.folder)
    with pytest.raises(ArtifactError, match=f"Run {photographs.id} is in use, but .* is missing") as caught:
        model_in_use(paths)
    assert "current.json" in caught.value.hint
    assert promote(paths, drawn).promoted


def test_a_full_disk_leaves_the_old_model_in_use(paths, make_finished_run, small_disk):
    old, large_run = make_finished_run(), make_finished_run(model=b"m" * 2_000_000)
    paths = dataclasses.replace(paths, models=small_disk)
    promote(paths, old)
    with pytest.raises(DiskFullError, match="What was saved before is kept"):
        promote(paths, large_run)
    assert current(paths).run == old.id
    assert model_copy(paths).read_bytes() == old.model_h5.read_bytes()
    assert list(small_disk.glob(".*.part*")) == []
