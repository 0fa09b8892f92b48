import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import ArtifactError, ConfigError, DatasetError
from fer_core.evaluation.analysis_data import analysis_of, data_for
from fer_core.evaluation.calibration import expected_calibration_error, fit_temperature, with_temperature
from fer_core.evaluation.predict import class_numbers
from fer_core.labels import FER2013_CSV_ORDER
from fer_core.store.model_files import find_model
from tests.evaluation.conftest import LABELS, drawn_answers
from tests.photographs import save_photographs

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


def test_given_data_is_read_with_a_label_map_and_a_model_of_before_aliases_finds_its_own(
    of_folder, folder, drawn_places
):
    found = data_for(of_folder, str(folder), drawn_places, label_map="fear=surprise,sad=").dataset
    counts = dict(zip(*np.unique(found.test.labels, return_counts=True), strict=True))
    assert found.labels == tuple(label for label in LABELS if label not in ("fear", "sad"))
    assert counts[found.labels.index("surprise")] == 8
    with pytest.raises(ConfigError, match="--label-map names 'anxious'"):
        data_for(of_folder, str(folder), drawn_places, label_map="anxious=fear")
    for part in ("train", "test"):
        (folder / part / "fear").rename(folder / part / "fearful")
    labels = tuple("fearful" if label == "fear" else label for label in LABELS)
    config = of_folder.manifest.config.model_copy(update={"label_map": "none"})
    before = load_dataset(config, drawn_places, side=48)
    changes = {"data_fingerprint": before.fingerprint, "split_fingerprint": before.split_fingerprint, "labels": labels}
    old = replace(of_folder, labels=labels, manifest=of_folder.manifest.model_copy(update=changes))
    assert data_for(old, None, drawn_places).dataset.fingerprint == before.fingerprint


def test_the_data_of_the_manifest_is_found_split_as_it_was_in_the_size_of_the_model(
    of_folder, make_model, drawn, drawn_places
):
    found = data_for(of_folder, None, drawn_places)
    assert found.reason == ""
    assert found.dataset.split_fingerprint == of_folder.manifest.split_fingerprint
    assert (len(found.dataset.validation), len(found.dataset.test)) == (14, 28)
    small = replace(of_folder, side=32, channels=3)
    assert data_for(small, None, drawn_places).dataset.test.images(slice(0, 2)).shape == (2, 32, 32, 3)
    assert data_for(make_model(drawn), None, drawn_places).dataset.split_fingerprint == drawn.split_fingerprint


def test_data_that_is_gone_changed_or_of_no_use_is_named_with_what_is_needed(of_folder, folder, drawn_places):
    def reason(model=of_folder):
        found = data_for(model, None, drawn_places)
        assert found.dataset is None
        return found.reason

    assert "the model does not know surprise" in reason(replace(of_folder, labels=(*LABELS[:-1], "contempt")))
    metadata = {"data_source": "kaggle", "config": TrainConfig(data="kaggle")}
    kaggle = replace(of_folder, manifest=of_folder.manifest.model_copy(update=metadata))
    assert "(kaggle) is not here" in reason(kaggle), "nothing is downloaded unasked"
    (folder / "test" / "happy" / "0.png").unlink()
    assert "does not hold the images any more that model was trained on" in reason()
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    assert reason()
    shutil.rmtree(folder)
    assert reason() == f"faces ({folder}) is not here."


def test_a_model_from_elsewhere_needs_data_to_be_given(make_model, folder, drawn_places):
    found = data_for(make_model(), None, drawn_places)
    assert found == (None, "It is not known what other was trained on.")
    (folder / "test" / "happy" / "0.png").write_bytes(b"no picture")
    dataset = data_for(make_model(), str(folder), drawn_places).dataset
    assert (len(dataset.test), len(dataset.bad_images)) == (27, 1), "what cannot be read is left out"


def test_given_data_is_split_by_the_models_own_settings_and_must_be_there_and_have_classes_of_the_model(
    of_folder, make_model, folder, drawn_places
):
    copy = shutil.copytree(folder, folder.with_name("moved"))
    found = data_for(of_folder, str(copy), drawn_places)
    assert found.dataset.split_fingerprint == of_folder.manifest.split_fingerprint
    with pytest.raises(DatasetError, match="There is no nowhere"):
        data_for(make_model(), "nowhere", drawn_places)
    with pytest.raises(DatasetError, match="the model does not know angry, disgust"):
        data_for(make_model(labels=("bored", "happy")), str(folder), drawn_places)


def test_classes_that_one_side_lacks_are_left_out_of_the_score_and_named(make_model, folder, drawn_places):
    names = ("Anger", "contempt", "disgust", "fear", "happiness", "neutral", "sad")
    model = make_model(labels=names)
    dataset = data_for(model, str(folder), drawn_places).dataset
    assert dataset.labels == LABELS[:-1]
    assert len(dataset.test) == 24
    assert not any("surprise" in name for name in dataset.test.names(slice(None)))

    def nearly_right(part):
        right = {0: 0, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}
        outputs = np.full((len(part), 7), 0.02, np.float32)
        outputs[np.arange(len(part)), [right[label] for label in part.labels]] = 0.88
        outputs[0] = np.eye(7, dtype=np.float32)[1]  # one is taken for contempt, of which there is no image
        return outputs

    found = analysed(model, dataset, nearly_right)
    assert found.evaluation.labels == names
    assert found.evaluation.accuracy == 23 / 24
    assert found.evaluation.recall == pytest.approx((0.75 + 5) / 6)
    assert found.evaluation.per_class["contempt"].images == 0
    assert "the model does not know them: surprise (14 images in all)." in found.remark


def test_a_run_s_own_labels_and_votes_do_not_hinder_other_data(of_folder, folder, drawn_places):
    config = of_folder.manifest.config.model_copy(update={"label_map": "0=happy", "votes": "gone.csv"})
    model = replace(of_folder, manifest=of_folder.manifest.model_copy(update={"config": config}))
    assert len(data_for(model, str(folder), drawn_places).dataset.test) == 28


def test_images_that_a_run_left_out_are_left_out_again_and_do_not_hinder_other_data(of_folder, folder, drawn_places):
    (folder / "exclude.txt").write_text("train/happy/0.png\n")
    config = of_folder.manifest.config.model_copy(update={"exclude": str(folder / "exclude.txt")})
    split = load_dataset(config, drawn_places, side=48).split_fingerprint
    fields = {"config": config, "split_fingerprint": split}
    model = replace(of_folder, manifest=of_folder.manifest.model_copy(update=fields))
    assert data_for(model, None, drawn_places).dataset.split_fingerprint == split
    assert data_for(model, str(folder), drawn_places).dataset.split_fingerprint == split
    assert len(data_for(model, "sample", drawn_places).dataset.test) > 28


def test_classes_are_mapped_by_name_whatever_their_case_and_order():
    assert class_numbers(("Sad ", "HAPPY"), ("happy", "sad")).tolist() == [1, 0]
    with pytest.raises(DatasetError, match="has a label twice: sad, Sad"):
        class_numbers(("sad", "Sad"), ("sad",))


def analysed(model, dataset, probabilities=drawn_answers):
    """The analysis, without its files."""
    return analysis_of(model, dataset, probabilities)[0]


def test_a_model_in_another_order_of_classes_is_mapped_by_name_whatever_their_case(make_model, drawn):
    """Three of seven classes stand elsewhere in the order of FER-2013's csv."""
    paths = [LABELS.index(label) for label in FER2013_CSV_ORDER]
    names = tuple(f"{label.title()} " for label in FER2013_CSV_ORDER)
    found = analysed(make_model(labels=names), drawn, lambda part: drawn_answers(part)[:, paths])
    same = analysed(make_model(), drawn)
    assert found.evaluation.labels == names
    assert found.evaluation.per_class["Sad "] == same.evaluation.per_class["sad"]
    assert found.average_precision["Neutral "] == pytest.approx(same.average_precision["neutral"])
    assert found.temperature == pytest.approx(same.temperature, rel=1e-5)
    matrix = np.array(same.evaluation.confusion)
    assert (np.array(found.evaluation.confusion) == matrix[np.ix_(paths, paths)]).all()


def test_other_classes_are_refused_before_the_model_is_asked(make_model, drawn):
    def never(part):
        pytest.fail("asked")

    with pytest.raises(DatasetError, match="the model does not know surprise"):
        model = make_model(labels=(*LABELS[:-1], "contempt"))
        analysed(model, drawn, never)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (np.log, "The outputs of other are no probabilities: they are"),
        (lambda p: p / 2, "The outputs of other are no probabilities: they are"),
        (lambda p: p[:-1], "probabilities for"),
        (lambda p: p * np.nan, "no numbers"),
    ],
    ids=range(4),
)
def test_outputs_that_are_no_probabilities_are_refused(make_model, drawn, spoil, words):
    with pytest.raises(ArtifactError, match=words):
        analysed(make_model(), drawn, lambda part: spoil(drawn_answers(part)))


def test_the_temperature_is_fitted_on_validation_images_and_makes_confidence_honest(make_model, load_drawn):
    data = load_drawn(sample_per_class=150, validation_fraction=0.4)
    asked = []

    def sharp(part):
        asked.append(part.name)
        return drawn_answers(part, sharpness=3)

    found = analysed(make_model(data), data, sharp)
    assert sorted(asked) == ["test", "validation"]
    own = fit_temperature(drawn_answers(data.validation), data.validation.labels)
    assert found.temperature == pytest.approx(3 * own, rel=0.06)
    assert found.temperature_from == (
        f"The temperature was fitted on {len(data.validation)} images of validation; readings use 1.00."
    )
    assert found.after.error < found.before.error / 2
    assert found.after.loss < found.before.loss == found.evaluation.loss
    same = analysed(make_model(data, temperature=found.temperature), data, sharp)
    assert "readings" not in same.temperature_from
    calibrated = with_temperature(sharp(data.test), found.temperature)
    assert found.after.error == pytest.approx(expected_calibration_error(calibrated, data.test.labels))


@pytest.mark.parametrize(
    ("validation", "words"), [("none", "no validation images"), ("test", "validation images are the test images")]
)
def test_the_test_images_never_choose_the_temperature(make_model, load_drawn, drawn, validation, words):
    data = load_drawn(validation=validation)
    asked = []
    model = make_model(drawn, temperature=1.5)
    found = analysed(model, data, lambda part: asked.append(part) or drawn_answers(part))
    assert (asked, found.temperature) == ([data.test], 1.5)
    assert words in found.temperature_from
    assert "the temperature is the model's own" in found.temperature_from


def test_validation_images_that_were_or_may_have_been_trained_on_choose_no_temperature_or_that_is_said(
    make_model, load_drawn, drawn
):
    found = analysed(make_model(drawn, temperature=1.5), load_drawn(seed=5))
    assert found.temperature == 1.5
    assert found.temperature_from.startswith("validation may be known from training")
    assert found.remark.startswith("These images are split in another way")
    assert found.evaluation.chosen_on == ""
    foreign = analysed(make_model(), drawn)
    assert "which is too low if the model was trained on them" in foreign.temperature_from
    assert foreign.compared_with.startswith("What this model was trained on is not known; compared with")
    assert foreign.evaluation.without_training_copies.images == len(drawn.test)


def test_the_score_without_copies_needs_the_runs_own_list_of_training_images(make_model, drawn):
    model = make_model(drawn)
    own = model.run_folder / "training_images.bin"
    hashes = np.append(drawn.train.hashes[:4], drawn.test.hashes[4:])
    other = replace(drawn, test=replace(drawn.test, hashes=hashes))
    found = analysed(model, other)
    assert found.evaluation.without_training_copies.images == len(drawn.test) - 4
    assert "different images that training and its choices saw" in found.compared_with
    own.write_bytes(b"12345678")
    unknown = analysed(model, replace(other, split_fingerprint="0" * 64))
    assert unknown.evaluation.without_training_copies is None
    assert "is not known: training_images.bin is missing" in unknown.compared_with


def test_test_images_that_were_all_seen_give_no_score_without_copies(make_model, drawn):
    data = replace(drawn, test=replace(drawn.test, hashes=np.resize(drawn.train.hashes, len(drawn.test))))
    found = analysed(make_model(drawn), data)
    assert found.evaluation.without_training_copies is None
    assert found.compared_with.startswith("Each of these images is among the")
    copied_h5 = replace(make_model(drawn), run_folder=None)
    assert "different images that training and its choices saw" in analysed(copied_h5, drawn).compared_with


def test_what_chose_the_epoch_is_said_of_the_runs_own_split_alone(make_model, load_drawn, drawn):
    own = analysed(make_model(drawn), drawn)
    assert (own.evaluation.chosen_on, own.remark) == ("Chosen on validation: the epoch.", "")
    other = analysed(make_model(drawn), load_drawn(sample_per_class=21))
    assert other.remark == "These are other images than the model was trained and scored with."
    assert other.evaluation.chosen_on == ""


def test_faces_in_photographs_are_looked_for_unless_they_are_given(paths, tmp_path, test_data, monkeypatch):
    monkeypatch.setenv("FER_YUNET", str(test_data / "face_detection_yunet_2026may.onnx"))
    photographs, model = str(save_photographs(tmp_path / "photographs")), find_model(None, paths)
    found, given = (data_for(model, photographs, paths, are_faces=are_faces).dataset for are_faces in (False, True))
    assert (found.contents.report.detector, given.contents.report.detector) == ("yunet", "")
    assert len(found.contents) == len(given.contents) == 9
