import io
from pathlib import Path

import pytest
from rich.console import Console

from fer_core.evaluation.analysis import analysis_of
from fer_core.evaluation.analysis_report import print_analysis
from fer_core.evaluation.answers import answers_of
from tests.evaluation.conftest import LABELS, drawn_answers, model_files


@pytest.fixture(scope="module")
def analysis(drawn, tmp_path_factory):
    model = model_files(tmp_path_factory.mktemp("model"), drawn)
    return analysis_of(model, drawn, answers_of(model, drawn, drawn_answers))


def printed(analysis, *, width: int = 80, folder: Path | None = None) -> str:
    text = io.StringIO()
    print_analysis(Console(file=text, width=width), analysis, folder=folder)
    return text.getvalue()


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table of confusion whose header begins with `first`."""
    lines = [line.split() for line in text.splitlines()]
    start = next(number for number, cells in enumerate(lines) if cells[:2] == [first, LABELS[0]])
    return lines[start : start + 8]


def test_scores_come_first_with_average_precision_per_class(analysis):
    text = in_one_line(printed(analysis))
    assert f"accuracy {analysis.evaluation.accuracy:.1%} 95% interval" in text
    happy, score = analysis.average_precision["happy"], analysis.evaluation.per_class["happy"]
    assert f"happy {score.precision:.1%} {score.recall:.1%} {score.f1:.1%} {happy:.1%} {score.images}" in text
    mean = sum(analysis.average_precision.values()) / 7
    assert f"{analysis.evaluation.macro_f1:.1%} {mean:.1%} {analysis.evaluation.images}" in text
    assert analysis.compared_with in text
    assert "Chosen on validation: the epoch." in text


def test_the_confusion_is_printed_as_counts_and_as_percent_of_each_row(analysis):
    text = printed(analysis)
    counts, percent = rows(text, "images"), rows(text, "percent")
    for number, (label, row) in enumerate(zip(analysis.evaluation.labels, analysis.evaluation.confusion, strict=True)):
        assert counts[number + 1] == [label, *map(str, row)]
        assert percent[number + 1] == [label, *(f"{100 * images / sum(row):.1f}" for images in row)]


def test_pairs_calibration_and_mistakes_are_said_in_words(analysis):
    text = in_one_line(printed(analysis, width=200))
    assert f"{analysis.confused[0].message}." in text
    assert f"expected calibration error {analysis.before.error:.1%} {analysis.after.error:.1%}" in text
    assert f"as the model says temperature {analysis.temperature:.2f}" in text
    assert analysis.temperature_from in text
    assert "over 15 equally wide bins" in text
    first, last = analysis.confidently_wrong[0], analysis.confidently_wrong[-1]
    assert f"{first.predicted} {first.confidence:.1%} labelled {first.truth} {first.name}" in text
    assert last.name not in text


def test_the_folder_is_named_where_it_is_given(analysis):
    assert "Kept with its figures in models/runs/x" in printed(analysis, folder=Path("models/runs/x"))
    assert "Kept" not in printed(analysis)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_a_file_has_no_colour_codes(analysis, width):
    text = printed(analysis, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


def test_seven_classes_fit_into_eighty_columns_with_whole_names(analysis):
    assert rows(printed(analysis), "images")[0] == ["images", *analysis.evaluation.labels]


def test_a_narrow_terminal_is_told_where_the_matrix_is(analysis):
    assert "The terminal is too narrow for 7 classes; confusion_matrix.png shows it." in in_one_line(
        printed(analysis, width=44)
    )


def test_a_remark_on_other_images_is_printed(analysis):
    other = analysis.model_copy(update={"remark": "These are other images."})
    assert "These are other images. Chosen on" in in_one_line(printed(other))


def test_a_perfect_model_has_neither_pairs_nor_mistakes(analysis):
    text = printed(analysis.model_copy(update={"confused": (), "confidently_wrong": ()}))
    assert "No class is taken for another." in text
    assert "Confidently wrong" not in text
