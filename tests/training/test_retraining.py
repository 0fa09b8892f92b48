"""Retraining: what may be asked for, and the run that comes of it, also after a kill."""

import shutil
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from fer_core.data.dataset import load_dataset
from fer_core.errors import ConfigError, DatasetError
from fer_core.paths import SHIPPED, Paths
from fer_core.recipes import recipe_config
from fer_core.store.files import file_sha256, read_json
from fer_core.store.run import Run
from fer_core.store.runs import list_runs
from fer_core.training.begin_retraining import begin_retraining
from fer_core.training.retraining import RetrainSpec, challenger_config
from tests.training.parts import change_manifest


def fill_inbox(paths: Paths, count: int, label: str = "happy") -> None:
    """Puts so many new pictures into the inbox."""
    folder = paths.inbox / label
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(900 + number).integers(0, 256, (48, 48), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), pixels)


@pytest.fixture
def begin(paths) -> Callable[..., Run | None]:
    """Returns begin(spec…, run_id=…, said=[]): the start of a retraining, without training."""

    def begin(*, run_id: str | None = None, said: list[str] | None = None, **spec) -> Run | None:
        say = ([] if said is None else said).append
        return begin_retraining(RetrainSpec(**spec), paths, run_id=run_id, say=say, report=lambda text: None)

    return begin


# What is asked for


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        ({"settings": {"epoch": 3}}, "There is no setting 'epoch'", "Did you mean 'epochs'?"),
        ({"settings": {"data": "x"}}, "data is no setting to give in settings", "Give data itself."),
        ({"min_gian": 0.1}, "there is no setting 'min_gian'", "Did you mean 'min_gain'?"),
    ],
)
def test_a_misspelt_argument_is_named(arguments, sentence, hint):
    with pytest.raises(ConfigError, match=sentence) as caught:
        RetrainSpec.checked(arguments)
    assert caught.value.hint == hint


def test_the_settings_are_those_of_the_model_in_use_or_of_another_recipe_or_network_on_the_same_images(in_use):
    manifest = in_use.manifest
    own = manifest.config
    assert challenger_config(RetrainSpec(settings={"epochs": 7}), manifest) == own.model_copy(
        update={"epochs": 7, "data": None}
    )
    config = challenger_config(RetrainSpec(recipe="deep_l2"), manifest)
    assert (config.network, config.batch_size) == ("deep_l2", recipe_config("deep_l2").batch_size)
    assert config.sample_per_class == own.sample_per_class != 200
    config = challenger_config(RetrainSpec(settings={"network": "tapered"}), manifest)
    assert "filters" in own.network_options
    assert config.network_options == challenger_config(RetrainSpec(recipe="tapered"), None).network_options
    # Without the weights that it was fine-tuned from, all of it is trained.
    fine_tuned = own.model_copy(update={"fine_tune": True, "head_epochs": 1, "init_from": "tiny"})
    tuned = manifest.completed({"config": fine_tuned})
    assert not challenger_config(RetrainSpec(), tuned).fine_tune
    assert challenger_config(RetrainSpec(init_from="current"), tuned).fine_tune
    transfer = challenger_config(RetrainSpec(recipe="transfer"), manifest)
    assert (transfer.fine_tune, transfer.init_from) == (True, None), "these weights come with the network"
    with pytest.raises(ConfigError, match="settings: network_options: "):
        challenger_config(RetrainSpec(settings={"network_options": 5}), manifest)
    # It is never chosen on the images that it will be judged on.
    classic = manifest.completed({"config": own.model_copy(update={"validation": "test"})})
    assert challenger_config(RetrainSpec(), classic).validation == "split"


# The start


def test_with_too_few_new_images_nothing_is_made_and_the_output_says_so(in_use, begin, paths):
    fill_inbox(paths, 3)
    said: list[str] = []
    assert begin(min_new_images=4, said=said) is None
    assert said[-1] == "Nothing is trained: 3 new images, and a retraining waits for 4."
    assert list_runs(paths) == [in_use]


def test_the_run_takes_a_copy_of_what_lies_in_the_inbox(in_use, begin, paths):
    fill_inbox(paths, 3)
    fill_inbox(paths, 1, label="hapy")
    run = begin(min_new_images=3)
    manifest = run.manifest
    assert (manifest.kind, manifest.parent, manifest.promote) == ("retrain", in_use.id, False)
    assert run.state.status == "QUEUED"
    assert manifest.config.more_images == str((run.folder / "new_images").resolve())
    copies = sorted((run.folder / "new_images" / "happy").iterdir())
    assert sorted(map(file_sha256, copies)) == sorted(map(file_sha256, (paths.inbox / "happy").iterdir()))
    noted = read_json(run.folder / "new_images.json", "note")
    assert [image["name"] for image in noted["accepted"]] == ["happy/000.png", "happy/001.png", "happy/002.png"]
    assert [image["name"] for image in noted["refused"]] == ["hapy/000.png"]


def test_what_the_model_in_use_has_seen_is_taken_again_and_is_not_new(in_use, begin, paths):
    fill_inbox(paths, 3)
    seen = np.fromfile(in_use.training_images, np.uint64)
    contents = [int(image["content"]) for image in read_json(begin().folder / "new_images.json", "note")["accepted"]]
    content = np.unique(np.append(seen, np.array(contents[:2], np.uint64))).tobytes()
    in_use.training_images.write_bytes(content)
    metadata = {"count": len(content) // 8, "sha256": file_sha256(in_use.training_images)}
    change_manifest(in_use, training_images=metadata)
    said: list[str] = []
    assert begin(min_new_images=2, said=said) is None
    assert said[0] == f"Inbox {paths.inbox}: 1 new images, 2 known ones, 0 refused."


def test_a_correction_of_a_training_image_is_new_until_a_model_was_trained_on_it(in_use, begin, paths):
    dataset = load_dataset(in_use.manifest.config, paths, side=48)
    label = dataset.labels[dataset.train.labels[0]]
    corrected = next(other for other in dataset.labels if other != label)
    (paths.inbox / corrected).mkdir(parents=True)
    cv2.imwrite(str(paths.inbox / corrected / "face.png"), dataset.train.images(slice(0, 1))[0, :, :, 0])
    run = begin(min_new_images=1)
    assert load_dataset(run.manifest.config, paths, side=48).notes[0].startswith("More images: 1 of")
    # As if the model in use came of it.
    change_manifest(in_use, config={"more_images": str(run.folder / "new_images")})
    said: list[str] = []
    assert begin(min_new_images=1, said=said) is None
    assert said[0] == f"Inbox {paths.inbox}: 0 new images, 1 known ones, 0 refused."


def test_started_again_it_goes_on_with_the_same_run_and_the_same_images(in_use, begin, paths):
    fill_inbox(paths, 2)
    run = begin(run_id="noted-before")
    shutil.rmtree(run.folder / "new_images")  # a kill came before they were copied
    assert begin(run_id="noted-before") == run
    fill_inbox(paths, 5)
    assert begin(run_id="noted-before", min_new_images=99) == run
    assert len(list((run.folder / "new_images" / "happy").iterdir())) == 2
    assert len(list_runs(paths)) == 2


def test_a_retraining_has_no_teacher_of_the_model_in_use_which_may_be_gone_by_now(in_use):
    config = in_use.manifest.config.model_copy(update={"teacher": ("gone.h5",), "teacher_views": 4})
    distilled = in_use.manifest.model_copy(update={"config": config})
    challenger = challenger_config(RetrainSpec(), distilled)
    assert (challenger.teacher, challenger.teacher_views) == ((), 0)
    at_every_step = in_use.manifest.model_copy(update={"config": config.model_copy(update={"teacher_views": 0})})
    assert challenger_config(RetrainSpec(), at_every_step) == in_use.manifest.config.model_copy(update={"data": None})
    distilled = challenger_config(RetrainSpec(settings={"teacher": ["current"]}), distilled)
    assert (distilled.teacher, distilled.teacher_views) == (("current",), 0)


NO_VOTES = {"votes": None, "vote_target": "majority", "score_test": True}
"""Of one whose own votes only soften the labels."""


@pytest.mark.parametrize(("name", "shift"), [("best", 0.06), ("tiny", 0.0)])
def test_without_the_teachers_views_the_challenger_mirrors_and_moves_the_images_itself(name, shift):
    champion = Run(SHIPPED / name, SHIPPED).manifest
    own = champion.config
    assert (own.flip, own.alternating_flip, own.shift) == (False, False, shift)
    challenger = challenger_config(RetrainSpec(), champion)
    alone = {"teacher": (), "teacher_views": 0, "alternating_flip": True, "shift": max(shift, 0.04), "data": None}
    assert challenger == own.model_copy(update=alone | NO_VOTES)
    resnet = recipe_config("resnet")  # which is what nobody teaches
    assert (challenger.flip, challenger.alternating_flip) == (resnet.flip, resnet.alternating_flip)


@pytest.mark.parametrize(
    ("settings", "mirroring"),
    [
        ({"flip": True}, (True, False)),
        ({"flip": False}, (False, False)),
        ({"teacher": ["current"]}, (False, True)),
        ({"teacher": ["current"], "teacher_views": 10}, (False, False)),
        ({"teacher_views": 0}, (False, True)),
    ],
)
def test_what_was_asked_for_decides_about_mirroring(settings, mirroring):
    config = challenger_config(RetrainSpec(settings=settings), Run(SHIPPED / "best", SHIPPED).manifest)
    assert (config.flip, config.alternating_flip) == mirroring


def test_without_anything_in_the_inbox_it_trains_on_the_data_alone(in_use, begin):
    run = begin()
    assert run.manifest.config == in_use.manifest.config
    assert not (run.folder / "new_images").exists()
    # Starting weights are noted by the run that they are of.
    assert begin(init_from="current").manifest.config.init_from == in_use.id


def test_data_that_is_not_here_is_named(paths, begin, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER_DATA", raising=False)
    with pytest.raises(DatasetError, match=r"fer2013\.zip, which shipped/best was trained on, is not here") as caught:
        begin()
    assert caught.value.hint == "Give data, or set $FER_DATA."
