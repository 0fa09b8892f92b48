"""Distillation: who may teach, what is asked of them, and that it is the same ones to the end."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_core.errors import ArtifactError, ConfigError
from fer_core.evaluation.calibration import with_temperature
from fer_core.store.artifacts import load_model, save_model
from fer_core.store.files import file_sha256
from fer_core.training.distillation import (
    cached_soft_labels,
    check_teachers,
    chosen_by_teachers,
    record_teachers,
    teachers,
)


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


def test_a_teacher_of_a_fold_is_asked_only_about_images_that_it_has_never_seen(begun, paths, trained_run, tmp_path):
    _, dataset = begun()
    hashes, model = np.unique(dataset.train.hashes), load_model(trained_run.model_h5)
    known = (hashes[: len(hashes) // 2], hashes[len(hashes) // 2 :])
    files = [_of_a_fold(tmp_path / f"fold{number}", trained_run, model, seen) for number, seen in enumerate(known)]
    run, dataset = begun(teacher=tuple(map(str, files)), teacher_views=2)
    soft_labels = cached_soft_labels(run.manifest.config, dataset, paths).astype(np.float32)
    alone = run.manifest.config.model_copy(update={"teacher": (str(trained_run.model_h5),)})
    by_one = cached_soft_labels(alone, dataset, paths).astype(np.float32)
    has_second = np.isin(dataset.train.hashes, known[0])[:, None, None]  # the first one has seen them
    expected = np.where(has_second, np.roll(by_one, 2, axis=-1), np.roll(by_one, 1, axis=-1))
    np.testing.assert_allclose(soft_labels, expected, atol=2e-3)
    at_each_step = run.manifest.config.model_copy(update={"teacher_views": 0})
    with pytest.raises(ConfigError, match="never seen"):
        check_teachers(at_each_step, dataset, paths)
    (files[0].parent / "training_images.bin").unlink()
    with pytest.raises(ArtifactError, match="not known on which images"):
        teachers(run.manifest.config, dataset, paths)


def _of_a_fold(folder, run, model, seen):
    """Returns the file of a teacher that has seen these images; the labels of each one's answers are turned further."""
    folder.mkdir()
    (folder / "training_images.bin").write_bytes(seen.tobytes())
    *_, last = model.layers
    last.set_weights([np.roll(weights, 1, axis=-1) for weights in last.get_weights()])
    images = run.manifest.training_images.model_copy(update={"sha256": hashlib.sha256(seen.tobytes()).hexdigest()})
    update = {"run_id": folder.name, "training_images": images}
    update["config"] = run.manifest.config.model_copy(update={"fold": "1/2"})
    save_model(model, folder / "model.h5", manifest=run.manifest.model_copy(update=update))
    return folder / "model.h5"


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
