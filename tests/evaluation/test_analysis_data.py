import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import DatasetError
from fer_core.evaluation.analysis_data import class_numbers, data_for
from tests.evaluation.conftest import LABELS

SETTINGS = {"validation_fraction": 0.2, "seed": 7}


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures: train/ and test/, seven classes."""
    random = np.random.default_rng(0)
    for part, count in (("train", 10), ("test", 4)):
        for label in LABELS:
            (tmp_path / "faces" / part / label).mkdir(parents=True)
            for number in range(count):
                picture = random.integers(0, 256, (48, 48), np.uint8)
                cv2.imwrite(str(tmp_path / "faces" / part / label / f"{number}.png"), picture)
    return tmp_path / "faces"


@pytest.fixture
def of_folder(make_model, drawn, folder, drawn_places):
    """A model that was trained on the folder."""
    config = TrainConfig(data=str(folder), **SETTINGS)
    dataset = load_dataset(config, drawn_places, side=48)
    model = make_model(drawn)
    metadata = {
        "config": config,
        "data_name": dataset.name,
        "data_source": dataset.source,
        "data_fingerprint": dataset.fingerprint,
        "split_fingerprint": dataset.split_fingerprint,
    }
    return replace(model, manifest=model.manifest.model_copy(update=metadata))


def test_the_data_of_the_manifest_is_found_and_split_as_it_was(of_folder, drawn_places):
    found = data_for(of_folder, None, drawn_places)
    assert found.reason == ""
    assert found.dataset.split_fingerprint == of_folder.manifest.split_fingerprint
    assert (len(found.dataset.validation), len(found.dataset.test)) == (14, 28)


def test_the_drawn_faces_are_always_there(make_model, drawn, drawn_places):
    assert data_for(make_model(drawn), None, drawn_places).dataset.split_fingerprint == drawn.split_fingerprint


def test_the_images_are_those_that_the_model_takes(of_folder, drawn_places):
    small = replace(of_folder, side=32, channels=3)
    assert data_for(small, None, drawn_places).dataset.test.images(slice(0, 2)).shape == (2, 32, 32, 3)


def test_data_that_is_gone_is_named_with_what_is_needed(of_folder, folder, drawn_places):
    shutil.rmtree(folder)
    found = data_for(of_folder, None, drawn_places)
    assert found.dataset is None
    assert found.reason == (
        f"faces ({folder}) is not here. The analysis needs the test images: give them with --data PATH."
    )


def test_data_that_has_changed_is_not_taken(of_folder, folder, drawn_places):
    (folder / "test" / "happy" / "0.png").unlink()
    found = data_for(of_folder, None, drawn_places)
    assert found.dataset is None
    assert "does not hold the images any more that model was trained on" in found.reason


def test_data_that_cannot_be_used_any_more_is_no_error(of_folder, folder, drawn_places):
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    found = data_for(of_folder, None, drawn_places)
    assert found.dataset is None
    assert found.reason.endswith("give them with --data PATH.")


def test_labels_that_are_not_those_of_the_data_are_no_error_without_data_being_given(of_folder, drawn_places):
    found = data_for(replace(of_folder, labels=(*LABELS[:-1], "contempt")), None, drawn_places)
    assert found.dataset is None
    assert "the model does not know surprise" in found.reason


def test_nothing_is_downloaded_unasked(of_folder, drawn_places):
    metadata = {"data_source": "kaggle", "config": TrainConfig(data="kaggle")}
    model = replace(of_folder, manifest=of_folder.manifest.model_copy(update=metadata))
    assert "(kaggle) is not here" in data_for(model, None, drawn_places).reason


def test_of_a_model_from_elsewhere_nothing_is_known(make_model, drawn_places):
    found = data_for(make_model(), None, drawn_places)
    assert found == (None, "It is not known what other was trained on. " + found.reason.partition(". ")[2])


def test_given_data_is_taken_also_for_a_model_from_elsewhere(make_model, folder, drawn_places):
    found = data_for(make_model(), str(folder), drawn_places)
    assert len(found.dataset.test) == 28


def test_given_data_is_split_by_the_models_own_settings(of_folder, folder, drawn_places):
    copy = shutil.copytree(folder, folder.with_name("moved"))
    found = data_for(of_folder, str(copy), drawn_places)
    assert found.dataset.split_fingerprint == of_folder.manifest.split_fingerprint


def test_given_data_with_an_unreadable_picture_is_analysed_without_it(make_model, folder, drawn_places):
    (folder / "test" / "happy" / "0.png").write_bytes(b"no picture")
    found = data_for(make_model(), str(folder), drawn_places)
    assert (len(found.dataset.test), len(found.dataset.bad_images)) == (27, 1)


def test_given_data_must_be_there_and_have_the_models_classes(make_model, folder, drawn_places):
    with pytest.raises(DatasetError, match="There is no nowhere"):
        data_for(make_model(), "nowhere", drawn_places)
    with pytest.raises(DatasetError, match="the data does not have contempt"):
        data_for(make_model(labels=(*LABELS, "contempt")), str(folder), drawn_places)


def test_classes_are_mapped_by_name_whatever_their_case_and_order():
    assert class_numbers(("Sad ", "HAPPY"), ("happy", "sad")).tolist() == [1, 0]


def test_a_model_with_a_label_twice_is_refused():
    with pytest.raises(DatasetError, match="has a label twice: sad, Sad"):
        class_numbers(("sad", "Sad"), ("sad",))
