import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis import (
    PLOTS,
    SHEET,
    Analysis,
    analyse,
    analysis_folder,
    saved_analysis,
)
from fer_core.evaluation.analysis_data import MOST_WRONG, most_confused
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.metrics import Evaluation, evaluate_probabilities
from fer_core.paths import SHIPPED_BEST
from tests.evaluation.conftest import LABELS, drawn_answers, model_files


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    """A model of ours, where its analysis is kept, and the analysis."""
    folder = tmp_path_factory.mktemp("analysed")
    model = model_files(folder, drawn)
    analysis = analyse(model, drawn, probabilities=drawn_answers, folder=folder / "kept")
    return model, folder / "kept", analysis


@pytest.fixture
def analysed(made, tmp_path):
    """The same with a folder of one's own."""
    model, folder, analysis = made
    return model, Path(shutil.copytree(folder, tmp_path / "copy")), analysis


def kept(folder, model, dataset, **changes):
    wanted = {
        "model_sha256": model.sha256,
        "data_fingerprint": dataset.fingerprint,
        "split_fingerprint": dataset.split_fingerprint,
    }
    return saved_analysis(folder, **wanted | changes)


def test_everything_is_written_and_evaluation_json_stays_an_evaluation_of_the_models_own_probabilities(made, drawn):
    _, folder, analysis = made
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == sorted([SHEET, "answers.npz", "evaluation.json", *PLOTS])
    for name in (SHEET, *PLOTS):
        assert cv2.imread(str(folder / name)).std() > 5
    expected = evaluate_probabilities(drawn_answers(drawn.test), drawn.test.labels, label_names=LABELS, split="test")
    for name in ("loss", "accuracy", "accuracy_interval", "macro_f1", "confusion", "per_class"):
        assert getattr(analysis.evaluation, name) == getattr(expected, name)
    values = json.loads((folder / "evaluation.json").read_text())
    assert Evaluation.from_json(values).accuracy == analysis.evaluation.accuracy
    assert Analysis.from_json(values) == analysis
    with pytest.raises(ArtifactError, match="holds no analysis") as caught:
        Analysis.from_json(expected.to_json())
    assert "--analyze" in caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"model_sha256": "0" * 64},
        {"data_fingerprint": "0" * 64},
        {"split_fingerprint": "0" * 64},
        {"split_fingerprint": None},
        {"labels": LABELS[::-1]},
        {"pixels": "0..1"},
        {"views": 10},
    ],
    ids=str,
)
def test_it_is_read_again_while_nothing_has_changed(made, drawn, changes):
    model, folder, analysis = made
    assert kept(folder, model, drawn) == kept(folder, model, drawn, labels=LABELS, pixels="0..255") == analysis
    assert kept(folder, model, drawn, **changes) is None


def test_it_is_not_read_again_without_all_its_pictures(analysed, drawn):
    model, folder, analysis = analysed
    assert kept(folder, model, drawn) == analysis
    for name in (SHEET, *PLOTS):
        (folder / name).rename(folder / "away")
        assert kept(folder, model, drawn) is None
        (folder / "away").rename(folder / name)


def changed(values: dict, **fields) -> str:
    return json.dumps(values | {"analysis": values["analysis"] | fields})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: "",
        lambda values: "{" * 100_000,
        lambda values: json.dumps(values)[:-40],
        lambda values: json.dumps(values | {"analysis": None}),
        lambda values: json.dumps(values | {"confusion": [[1]]}),
        lambda values: json.dumps(values | {"per_class": {}}),
        lambda values: changed(values, version=2),
        lambda values: changed(values, temperature=float("nan")),
        lambda values: changed(values, before={"error": 0}),
        lambda values: changed(values, average_precision={"happy": 1.0}),
        lambda values: changed(values, confidently_wrong="all"),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_analysis_of_ours_is_none(analysed, drawn, spoil):
    model, folder, _ = analysed
    path = folder / "evaluation.json"
    path.write_text(spoil(json.loads(path.read_text())))
    assert kept(folder, model, drawn) is None


def test_a_folder_that_cannot_be_written_to_is_named(make_model, drawn, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ArtifactError, match=r"cannot be written to .*file: "):
        analyse(make_model(drawn), drawn, probabilities=drawn_answers, folder=tmp_path / "file")


def test_the_most_confident_mistakes_come_first_and_are_named(made, drawn):
    _, _, analysis = made
    calibrated = with_temperature(drawn_answers(drawn.test), analysis.temperature)
    wrong = np.flatnonzero(calibrated.argmax(axis=1) != drawn.test.labels)
    expected = sorted(wrong, key=lambda position: -calibrated[position].max())[:MOST_WRONG]
    assert [face.name for face in analysis.confidently_wrong] == drawn.test.names(np.array(expected))
    first = analysis.confidently_wrong[0]
    assert first.truth == LABELS[drawn.test.labels[expected[0]]]
    assert first.predicted == LABELS[calibrated[expected[0]].argmax()] != first.truth
    assert first.confidence == pytest.approx(calibrated[expected[0]].max())


def test_a_model_that_is_always_right_has_an_empty_sheet_and_the_time_is_that_of_the_clock(make_model, drawn, tmp_path):
    def right(part):
        return np.eye(7, dtype=np.float32)[part.labels]

    ticks = iter([10.0, 14.5])
    found = analyse(make_model(drawn), drawn, probabilities=right, folder=tmp_path, clock=lambda: next(ticks))
    assert (found.confidently_wrong, found.confused, found.seconds) == ((), (), 4.5)
    assert (tmp_path / SHEET).is_file()


def test_pairs_are_ranked_by_share_but_few_images_count_for_little(evaluation):
    confusion = ((90, 10, 0), (98, 398, 0), (1, 0, 1))
    names = ("angry", "fear", "disgust")
    per_class = dict(zip(names, list(evaluation.per_class.values())[:3], strict=True))
    pairs = most_confused(evaluation.model_copy(update={"confusion": confusion, "per_class": per_class}))
    assert [pair.message for pair in pairs] == [
        "fear is taken for angry: 98 of 496, 19.8%",
        "disgust is taken for angry: 1 of 2, 50.0%",
        "angry is taken for fear: 10 of 100, 10.0%",
    ]


def test_a_run_keeps_the_analysis_of_its_own_images_and_everything_else_lies_elsewhere(make_model, drawn, paths):
    model = make_model(drawn)
    assert analysis_folder(model, paths) == model.run_folder
    assert analysis_folder(model, paths, split_fingerprint=drawn.split_fingerprint) == model.run_folder
    analyses, mark = paths.models / "analyses", model.sha256[:8]
    other_images = analysis_folder(model, paths, split_fingerprint="abcdef0123" + "0" * 54)
    assert other_images == analyses / f"model-{mark}-abcdef01"
    assert analysis_folder(model, paths, views=10) == analyses / f"model-{mark}-10views"
    assert analysis_folder(model, paths, int8=True) == analyses / f"model-{mark}-int8"
    for folder in (SHIPPED_BEST, paths.models / "shipped" / "best"):
        shipped = make_model(drawn, name="shipped/best", run_folder=folder)
        assert analysis_folder(shipped, paths) == analyses / f"shipped_best-{mark}"
    hostile = make_model(name="../../örtlich/..")
    assert analysis_folder(hostile, paths, split_fingerprint="12345678" * 8) == analyses / f"rtlich-{mark}-12345678"
