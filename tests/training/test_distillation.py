"""Distillation: who may teach, what is asked of them, and that it is the same ones to the end."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import with_temperature
from fer_core.store.artifacts import load_model, save_model
from fer_core.store.files import file_sha256
from fer_core.training.distillation import cached_soft_labels, check_teachers, chosen_by_teachers, record_teachers


def test_teachers_are_asked_once_about_fixed_views(begun, paths, trained_run):
    run, dataset = begun(teacher=(str(trained_run.model_h5),), teacher_views=2)
    config = run.manifest.config
    soft_labels = cached_soft_labels(config, dataset, paths)
    assert (soft_labels.shape, soft_labels.dtype) == ((len(dataset.train), 2, 7), np.float16)
    teacher = load_model(trained_run.model_h5)
    images = dataset.train.images(slice(None)).astype(np.float32)
    answers = [np.asarray(teacher(views)) for views in (images, images[:, :, ::-1])]
    first, second = (with_temperature(answer, trained_run.manifest.temperature) for answer in answers)
    np.testing.assert_allclose(soft_labels[:, 0], 0.75 * first + 0.25 * second, atol=2e-3)
    np.testing.assert_allclose(soft_labels[:, 1], 0.75 * second + 0.25 * first, atol=2e-3)
    (path,) = (paths.cache / "lessons").glob("*.npy")
    np.save(path, soft_labels + 1)
    np.testing.assert_array_equal(cached_soft_labels(config, dataset, paths), soft_labels + 1)
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(cached_soft_labels(config, dataset, paths), soft_labels)


def test_what_teachers_were_chosen_on_and_whether_they_know_test_images_is_said(begun, paths, trained_run):
    run, dataset = begun(teacher=(str(trained_run.model_h5),))
    said = chosen_by_teachers(run.manifest.config, dataset, paths)
    assert said == f"Its teacher {trained_run.id}: {trained_run.manifest.scores['chosen_on']}"
    swapped = replace(dataset, train=dataset.test, test=dataset.train, validation=None)
    assert chosen_by_teachers(run.manifest.config, swapped, paths).endswith(
        f" It was trained on {len(dataset.train):,} of the test images: the score is optimistic."
    )


def test_a_teacher_that_taught_another_one_is_spoken_of_once(begun, paths, trained_run, tmp_path):
    known = trained_run.manifest
    of_first = f"Its teacher {trained_run.id}: {known.scores['chosen_on']}"
    scores = known.scores | {"chosen_on": f"Chosen on nothing. {of_first}"}
    second = tmp_path / "second.h5"
    shutil.copy(trained_run.folder / "training_images.bin", tmp_path)
    save_model(
        load_model(trained_run.model_h5),
        second,
        manifest=known.model_copy(update={"run_id": "second", "scores": scores}),
    )
    for order in ((trained_run.model_h5, second), (second, trained_run.model_h5)):
        run, dataset = begun(teacher=tuple(map(str, order)))
        said = chosen_by_teachers(run.manifest.config, dataset, paths)
        assert said == f"Its teacher second: Chosen on nothing. {of_first}"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"labels": ("sad", "happy")}, "does not have the labels sad, happy, in this order"),
        ({"side": 64, "channels": 3}, "takes pictures of 48 pixels and 1 channels; .* takes 64 and 3"),
    ],
)
def test_a_teacher_of_other_labels_or_pictures_is_refused(other, sentence, begun, paths, trained_run):
    run, dataset = begun(teacher=(str(trained_run.model_h5),))
    with pytest.raises(ArtifactError, match=sentence):
        check_teachers(run.manifest.config, replace(dataset, **other), paths)


def test_a_training_does_not_go_on_with_another_teacher(begun, paths, trained_run, tmp_path):
    teacher = tmp_path / "teacher.h5"
    shutil.copy(trained_run.model_h5, teacher)
    run, _ = begun(teacher=(str(teacher),))
    record_teachers(run, paths)
    assert run.manifest.teachers == {trained_run.id: file_sha256(trained_run.model_h5)}
    record_teachers(run, paths)
    with teacher.open("ab") as file:
        file.write(b"others")
    with pytest.raises(ArtifactError, match=f"teacher {trained_run.id} of run {run.id} is not the one") as caught:
        record_teachers(run, paths)
    assert caught.value.hint == "Put the model back where it was, or start a new run."
