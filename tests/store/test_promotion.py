import dataclasses
import json
import shutil

import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.store.artifacts import read_labels
from fer_core.store.files import DiskFullError, file_sha256
from fer_core.store.promotion import (
    SHIPPED_BEST,
    SHIPPED_NAME,
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
from fer_core.store.runs import create_run
from fer_core.store.shipped import run_name


@pytest.fixture
def nothing_shipped(tmp_path):
    return tmp_path / "nothing_shipped"


def test_a_promoted_run_is_the_model_in_use(places, make_finished_run, noon):
    run = make_finished_run(model=b"the model")
    done = promote(places, run, clock=lambda: noon)
    assert done.promoted and run.id in done.sentence and "emotion_recognition_modelfer.h5" in done.sentence
    assert model_copy(places).read_bytes() == b"the model"
    assert read_labels(labels_copy(places)) == ("angry", "happy")
    assert json.loads((places.models / "current.json").read_text()) == {
        "run": run.id,
        "previous": [],
        "promoted_utc": "2026-01-31T12:00:00.000Z",
        "sha256": file_sha256(run.model_h5),
    }
    assert model_in_use(places) == run.folder


def test_promoting_twice_changes_nothing_and_repairs_the_copies(places, make_finished_run):
    first, second = make_finished_run(), make_finished_run()
    promote(places, first)
    promote(places, second)
    model_copy(places).unlink()
    assert promote(places, second).promoted
    assert current(places).previous == (first.id,)
    assert model_copy(places).read_bytes() == second.model_h5.read_bytes()


def test_rolling_back_goes_one_model_back_each_time(places, make_finished_run):
    first, second, third = (make_finished_run() for _ in range(3))
    for run in (first, second, third):
        promote(places, run)
    assert rollback(places).run == second.id
    assert model_copy(places).read_bytes() == second.model_h5.read_bytes()
    assert rollback(places).run == first.id
    with pytest.raises(ArtifactError, match=r"There is no model in .* to go back to"):
        rollback(places, shipped=places.models / "nothing shipped")
    assert model_in_use(places) == first.folder


def test_before_all_promoted_ones_is_the_model_that_was_shipped(places, make_finished_run):
    assert step_back(places) is None
    first = make_finished_run()
    promote(places, first)
    assert step_back(places) == Step(first.id, SHIPPED_NAME)
    assert rollback(places) is None
    assert model_in_use(places) == SHIPPED_BEST
    assert model_copy(places).read_bytes() == (SHIPPED_BEST / "model.h5").read_bytes()
    assert len(read_labels(labels_copy(places))) == 7
    promote(places, first)
    assert current(places).run == first.id


def test_a_step_back_that_is_another_one_by_now_is_not_taken(places, make_finished_run):
    first, second, third = (make_finished_run() for _ in range(3))
    promote(places, first)
    promote(places, second)
    seen = step_back(places)
    promote(places, third)
    with pytest.raises(ArtifactError, match=f"{third.id} is in use now") as error:
        rollback(places, wanted=seen)
    assert second.id in error.value.hint
    assert current(places).run == third.id
    assert rollback(places, wanted=step_back(places)).run == second.id


def test_rolling_back_passes_over_a_run_that_is_gone(places, make_finished_run):
    first, second, third = (make_finished_run() for _ in range(3))
    for run in (first, second, third):
        promote(places, run)
    shutil.rmtree(second.folder)
    assert rollback(places).run == first.id


def test_nothing_to_roll_back_where_nothing_was_promoted(places):
    with pytest.raises(ArtifactError, match="none was in use before, or it is gone"):
        rollback(places)


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "INTERRUPTED", "FAILED"])
def test_an_unfinished_run_is_refused(places, make_finished_run, status):
    run = make_finished_run()
    run.update_state(status=status)
    with pytest.raises(ArtifactError, match=rf"is not finished \(it is {status}\)") as caught:
        promote(places, run)
    assert f"--resume {run.id}" in caught.value.hint
    assert current(places) is None


def test_a_run_without_its_files_is_refused(places, make_finished_run):
    run = make_finished_run()
    run.model_h5.unlink()
    run.labels_json.unlink()
    with pytest.raises(ArtifactError, match=r"has no model\.h5 and no labels\.json"):
        promote(places, run)
    assert current(places) is None


def test_drawn_faces_never_take_the_place_of_photographs(places, make_finished_run, nothing_shipped):
    drawn, photographs, drawn_again = (make_finished_run(data=data) for data in ("sample", "fer2013.zip", "sample"))
    assert promote(places, drawn, shipped=nothing_shipped).promoted
    assert promote(places, photographs).promoted
    refused = promote(places, drawn_again)
    assert not refused.promoted
    assert refused.sentence.startswith("The model in use was trained on photographs and stays")
    assert model_in_use(places) == photographs.folder


def test_drawn_faces_do_not_take_the_place_of_the_shipped_model_either(places, make_finished_run):
    drawn = make_finished_run(data="sample")
    assert not promote(places, drawn).promoted
    assert model_in_use(places) == SHIPPED_BEST
    shutil.copytree(drawn.folder, places.models / "shipped" / "best")  # a folder of that name is not the project's own
    assert not promote(places, drawn).promoted
    assert run_name(places.models / "shipped" / "best") == "best"
    assert run_name(SHIPPED_BEST) == SHIPPED_NAME


def test_the_sample_is_also_known_by_the_name_that_the_data_had(places, make_finished_run):
    photographs = make_finished_run()
    promote(places, photographs)
    drawn = create_run(places, TrainConfig(), recipe="smoke")
    drawn.update_manifest(data_name="sample")
    for path in (photographs.model_h5, photographs.labels_json):
        shutil.copy(path, drawn.folder)
    drawn.update_state(status="SUCCEEDED")
    assert not promote(places, drawn).promoted


def test_the_shipped_model_is_in_use_until_another_is_promoted(places, make_finished_run, nothing_shipped):
    assert model_in_use(places, shipped=nothing_shipped) is None
    shipped, run = make_finished_run().folder, make_finished_run()
    assert model_in_use(places, shipped=shipped) == shipped
    promote(places, run)
    assert model_in_use(places, shipped=shipped) == run.folder


def test_a_model_in_use_that_is_gone_is_named_and_any_other_may_follow(places, make_finished_run):
    photographs, drawn = make_finished_run(), make_finished_run(data="sample")
    promote(places, photographs)
    shutil.rmtree(photographs.folder)
    with pytest.raises(ArtifactError, match=f"Run {photographs.id} is in use, but .* is missing") as caught:
        model_in_use(places)
    assert "current.json" in caught.value.hint
    assert promote(places, drawn).promoted


@pytest.mark.parametrize("content", ['{"run": "a', '{"run": "a"}', "[]"])
def test_a_broken_pointer_is_named(places, content):
    places.models.mkdir()
    (places.models / "current.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"current\.json is no"):
        current(places)


@pytest.fixture
def large_run(make_finished_run):
    return make_finished_run(model=b"m" * 2_000_000)


def test_a_full_disk_leaves_the_old_model_in_use(places, make_finished_run, large_run, small_disk):
    places = dataclasses.replace(places, models=small_disk)
    old = make_finished_run()
    promote(places, old)
    with pytest.raises(DiskFullError, match="What was saved before is kept"):
        promote(places, large_run)
    assert current(places).run == old.id
    assert model_copy(places).read_bytes() == old.model_h5.read_bytes()
    assert list(small_disk.glob(".*.part*")) == []


def test_a_run_that_was_killed_between_its_end_and_its_promotion_is_found(places, make_finished_run):
    assert awaiting_promotion(places) is None
    first = make_finished_run()
    assert awaiting_promotion(places) == first
    promote(places, first)
    assert awaiting_promotion(places) is None


def test_drawn_faces_await_no_promotion(places, make_finished_run):
    make_finished_run(data="sample")
    assert awaiting_promotion(places) is None
