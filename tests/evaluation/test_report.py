import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fer_core.cli.report import overfitting_sentence, print_analysis, print_evaluation
from fer_core.cli.training import print_audit
from fer_core.data.audit import Audit, NearDuplicate, PartAudit, SharedImages
from fer_core.data.contents import BadImage
from fer_core.evaluation.analysis_data import analysis_of
from tests.evaluation.conftest import LABELS, drawn_answers, model_files

IMAGES = (25_838, 2_871)
LAST_EPOCH = {"epoch": 15, "accuracy": 0.68, "val_accuracy": 0.63}


def printed(show: Callable, *values, width: int = 80, **options) -> str:
    text = io.StringIO()
    show(Console(file=text, width=width), *values, **options)
    return text.getvalue()


def printed_evaluation(evaluation, *, width: int = 80, last_epoch=LAST_EPOCH, kept_epoch=12) -> str:
    options = {"images": IMAGES, "last_epoch": last_epoch, "kept_epoch": kept_epoch}
    return printed(print_evaluation, evaluation, width=width, **options)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_scores_stand_with_split_sample_size_and_interval_and_every_class_has_a_row(evaluation):
    whole = printed_evaluation(evaluation)
    text, lines = in_one_line(whole), [line.split() for line in whole.splitlines()]
    low, high = evaluation.accuracy_interval
    assert "Score on PublicTest (3,589 images)" in text
    assert f"loss {evaluation.loss:.3f}" in text
    assert f"accuracy {evaluation.accuracy:.1%} 95% interval {low:.1%} to {high:.1%}" in text
    assert f"macro F1 {evaluation.macro_f1:.1%} 95% interval" in text
    assert "Without the 359 that also occur in training: accuracy" in text
    assert "Kept: epoch 12. 2,871 validation images chose the epoch." in text
    assert "Not measured" not in text
    for label, score in evaluation.per_class.items():
        shares = [f"{value:.1%}" for value in (score.precision, score.recall, score.f1)]
        assert [label, *shares, f"{score.images:,}"] in lines


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_a_file_has_no_colour_codes(evaluation, width):
    text = printed_evaluation(evaluation, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("training", "validation", "images", "words"),
    [
        (0.60, 0.63, IMAGES, "no overfitting (dropout"),
        (0.62, 0.60, IMAGES, "a gap of 2.0 points (0.1 to 3.9), no overfitting to speak of"),
        (0.65, 0.60, IMAGES, "a gap of 5.0 points (3.1 to 6.9), some overfitting"),
        (0.75, 0.60, IMAGES, "a gap of 15.0 points (13.1 to 16.9), strong overfitting"),
        (0.75, 0.60, (900, 100), "a gap of 15.0 points (5.5 to 25.2), some overfitting"),
        (1.00, 0.50, (4, 2), "a gap of 50.0 points (-13.6 to 90.5): too few images to say whether it overfits"),
        (0.50, 0.50, (4, 2), "too few images to say whether it overfits"),
        (0.50, 1.00, (4, 2), "too few images to say whether it overfits"),
        (0.75, None, (4, 0), "no validation images, so overfitting cannot be judged"),
    ],
)
def test_the_gap_between_training_and_validation_is_judged_as_far_as_its_interval_says(
    training, validation, images, words
):
    assert words in overfitting_sentence(training, validation, images=images)


def test_what_is_unknown_or_not_measured_is_not_printed(evaluation):
    missing = evaluation.per_class["happy"].model_copy(update={"images": 0})
    changes = {"without_training_copies": None, "chosen_on": "", "per_class": evaluation.per_class | {"happy": missing}}
    bare = evaluation.model_copy(update=changes)
    text = printed_evaluation(bare, last_epoch={"accuracy": 0.7}, kept_epoch=None)
    assert "Kept" not in text and "also occur" not in text and "cannot be judged" in text
    assert ["happy", "–", "–", "–", "0"] in [line.split() for line in text.splitlines()]
    assert "Not measured, as there is no image of it: happy." in text


AUDIT = Audit(
    name="FER-2013",
    source="/data/fer2013.zip",
    fingerprint="0" * 64,
    labels=("[b]happy", "sad"),
    parts=(
        PartAudit("Training", {"[b]happy": 7215, "sad": 4830}, 1236, ({"a.jpg": "sad", "b.jpg": "happy"},)),
        PartAudit("PublicTest", {"[b]happy": 895, "sad": 653}, 0, ()),
    ),
    shared=(SharedImages("PublicTest", "Training", 280, 7), SharedImages("PrivateTest", "Training", 0, 0)),
    near_duplicates=(NearDuplicate("PublicTest", "test/a.jpg", "sad", "Training", "train/b.jpg", "sad"),) * 2,
    blank=("train/sad/1.jpg", "train/sad/2.jpg", "train/sad/3.jpg", "train/sad/4.jpg"),
    unreadable=(BadImage("train/sad/broken.jpg", "no picture"),),
)


def test_an_audit_counts_images_per_class_and_part():
    lines = [" ".join(line.split()) for line in printed(print_audit, AUDIT).splitlines()]
    assert lines[1:9] == [
        "Images of FER-2013",
        "class Training PublicTest",
        "[b]happy 7,215 59.9% 895 57.8%",
        "sad 4,830 40.1% 653 42.2%",
        "all 12,045 1,548",
        "extra copies 1,236 10.3% 0 0.0%",
        "contradictions* 1 0",
        "* pictures that occur with more than one label",
    ]


def test_an_audit_names_what_is_shared_blank_and_unreadable():
    text = in_one_line(printed(print_audit, AUDIT))
    assert "280 images of PublicTest also occur in Training, 7 of them only with another label." in text
    assert "1 more looks like one of Training (resized, lightened or watermarked anew)." in text
    assert "No image of PrivateTest occurs in Training too." in text
    assert "4 images are blank" in text
    assert "train/sad/3.jpg …" in text
    assert "1 image is unreadable: train/sad/broken.jpg" in text
    clean = in_one_line(printed(print_audit, replace(AUDIT, blank=(), unreadable=())))
    assert "No image is blank" in clean and "No image is unreadable." in clean


@pytest.fixture(scope="module")
def analysis(drawn, tmp_path_factory):
    model = model_files(tmp_path_factory.mktemp("model"), drawn)
    return analysis_of(model, drawn, drawn_answers)[0]


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table of confusion whose header begins with `first`."""
    lines = [line.split() for line in text.splitlines()]
    start = next(number for number, cells in enumerate(lines) if cells[:2] == [first, LABELS[0]])
    return lines[start : start + 8]


def test_scores_come_first_with_average_precision_per_class(analysis):
    text = in_one_line(printed(print_analysis, analysis))
    assert f"accuracy {analysis.evaluation.accuracy:.1%} 95% interval" in text
    happy, score = analysis.average_precision["happy"], analysis.evaluation.per_class["happy"]
    assert f"happy {score.precision:.1%} {score.recall:.1%} {score.f1:.1%} {happy:.1%} {score.images}" in text
    mean = sum(analysis.average_precision.values()) / 7
    assert f"{analysis.evaluation.macro_f1:.1%} {mean:.1%} {analysis.evaluation.images}" in text
    assert analysis.compared_with in text
    assert "Chosen on validation: the epoch." in text


def test_the_confusion_is_printed_as_counts_and_as_percent_of_each_row(analysis):
    text = printed(print_analysis, analysis)
    counts, percent = rows(text, "images"), rows(text, "percent")
    for number, (label, row) in enumerate(zip(analysis.evaluation.labels, analysis.evaluation.confusion, strict=True)):
        assert counts[number + 1] == [label, *map(str, row)]
        assert percent[number + 1] == [label, *(f"{100 * images / sum(row):.1f}" for images in row)]


def test_pairs_calibration_and_mistakes_are_said_in_words(analysis):
    text = in_one_line(printed(print_analysis, analysis, width=200))
    assert f"{analysis.confused[0].message}." in text
    assert f"expected calibration error {analysis.before.error:.1%} {analysis.after.error:.1%}" in text
    assert f"as the model says temperature {analysis.temperature:.2f}" in text
    assert analysis.temperature_from in text
    assert "over 15 equally wide bins" in text
    first, last = analysis.confidently_wrong[0], analysis.confidently_wrong[-1]
    assert f"{first.predicted} {first.confidence:.1%} labelled {first.truth} {first.name}" in text
    assert last.name not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_an_analysis_fits_the_terminal_and_a_file_has_no_colour_codes(analysis, width):
    text = printed(print_analysis, analysis, width=width, folder=Path("models/runs/x"))
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert "Kept with its figures in models/runs/x" in text
    if width == 80:
        assert rows(text, "images")[0] == ["images", *analysis.evaluation.labels], "with whole names"
    narrow = in_one_line(printed(print_analysis, analysis, width=44))
    assert "The terminal is too narrow for 7 classes; confusion_matrix.png shows it." in narrow


def test_what_there_is_not_is_not_printed(analysis):
    changes = {"confused": (), "confidently_wrong": (), "remark": "These are other images."}
    text = in_one_line(printed(print_analysis, analysis.model_copy(update=changes)))
    assert "No class is taken for another." in text
    assert "Confidently wrong" not in text and "Kept" not in text
    assert "These are other images. Chosen on" in text
