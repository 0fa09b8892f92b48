from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fer_core import labels as emotion_labels
from fer_core.evaluation import analysis_figures, figures
from fer_core.evaluation.analysis import WrongFace
from fer_core.evaluation.calibration import Bin, reliability
from fer_core.evaluation.metrics import precision_recall
from tests.evaluation.conftest import IMAGES, LABELS, all_texts, nothing_is_cut_off

TITLE = "20260131-140212-attention-3f9a · FER-2013 · 2,871 validation images"


def history(epochs: int, *, with_validation: bool = True) -> list[dict]:
    rows = [{"epoch": epoch, **dict.fromkeys(figures.CURVES, epoch / (epochs + 1))} for epoch in range(1, epochs + 1)]
    for row in rows if with_validation else []:
        row.update({f"val_{name}": 0.9 * row[name] for name in figures.CURVES})
    return rows


def past_run(number: int, *, best: float, name: str = "baseline", has_validation: bool = True):
    curve = [(1, best / 2), (2, best), (3, best - 0.01)]
    date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return SimpleNamespace(date=date, name=name, has_validation=has_validation, curve=curve, best=(2, best))


def drawn_lines(figure) -> dict:
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def legend_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def legend_is_beside_the_data(figure) -> bool:
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    legend, data = axes.get_legend().get_window_extent(), axes.get_window_extent()
    return legend.y0 >= data.y1 - 1 or legend.x0 >= data.x1 - 1


@pytest.mark.parametrize(("column", "epochs"), list(zip(figures.CURVES, (1, 3, 100, 3), strict=True)))
def test_a_curve_shows_training_validation_and_the_kept_epoch(column, epochs):
    figure = figures.curve_figure(history(epochs), column, title=TITLE, kept_epoch=epochs)
    lines = drawn_lines(figure)
    assert list(lines["training"].get_xdata()) == list(range(1, epochs + 1))
    assert lines["validation"].get_ydata()[-1] == pytest.approx(0.9 * epochs / (epochs + 1))
    assert any(text.startswith(f"kept: epoch {epochs} (") for text in legend_texts(figure))
    assert figure.axes[0].get_title(loc="left").startswith(column.capitalize())
    assert TITLE in all_texts(figure)
    assert nothing_is_cut_off(figure)
    assert legend_is_beside_the_data(figure)


def test_without_validation_the_kept_epoch_is_marked_on_the_training_curve_and_missing_values_are_left_out():
    rows = history(3, with_validation=False)
    figure = figures.curve_figure(rows, "accuracy", title=TITLE, kept_epoch=2)
    assert legend_texts(figure) == ["training", "kept: epoch 2 (50.0%)"]
    rows[1]["accuracy"] = None
    rows[2]["loss"] = rows[1]["loss"] = rows[0]["loss"] = float("nan")
    figure = figures.curve_figure(rows, "accuracy", title=TITLE, kept_epoch=None)
    assert list(drawn_lines(figure)["training"].get_xdata()) == [1, 3]
    assert "The history has no loss." in all_texts(figures.curve_figure(rows, "loss", title=TITLE, kept_epoch=None))


def test_the_class_distribution_has_a_panel_per_split_with_counts_and_shares():
    counts = {"Training": {"happy": 7215, "sad": 4830, "disgust": 436}, "PublicTest": {"happy": 895, "sad": 653}}
    figure = figures.class_distribution_figure(counts, title="FER-2013")
    training, test = figure.axes
    assert training.get_title(loc="left") == "Training: 12,481 images"
    assert [text.get_text() for text in training.get_yticklabels()] == ["disgust", "happy", "sad"]
    assert [bar.get_width() for bar in training.patches] == [436, 7215, 4830]
    assert [text.get_text() for text in test.texts] == ["0  (0.0%)", "895  (57.8%)", "653  (42.2%)"]
    assert nothing_is_cut_off(figure)


@pytest.mark.parametrize("classes", [2, 7, 20])
def test_the_confusion_matrix_shows_counts_beside_percent(classes):
    matrix = np.full((classes, classes), 1) + np.diag(np.arange(classes) * 1000)
    matrix[0] = 0
    figure = figures.confusion_figure(matrix, [f"class {i}" for i in range(classes)], title=TITLE)
    counts, percent = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert counts[-1] == f"{1 + 1000 * (classes - 1):,}"
    assert percent[-1] == "100"
    assert percent[:classes] == ["–"] * classes
    assert figure.axes[0].get_ylabel() == "true class"
    assert TITLE in figure.get_suptitle()
    assert nothing_is_cut_off(figure)
    small = figures.confusion_figure(np.array([[98, 2], [0, 9]]), ["happy", "sad"], title=TITLE)
    assert [text.get_color() for text in small.axes[1].texts] == ["white", "#1a1a1a", "#9a9a9a", "white"]


@pytest.mark.parametrize("runs", [1, 5, 40])
def test_the_overview_names_the_best_runs_and_counts_the_others(runs):
    figure = figures.overview_figure([past_run(number, best=0.3 + number / 100) for number in range(runs)])
    texts = legend_texts(figure)
    best_date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=runs - 1)
    assert texts[0] == f"{best_date:%Y-%m-%d} 00:00  baseline\nbest {0.3 + (runs - 1) / 100:.1%} (epoch 2)"
    assert len(texts) == min(runs, 8)
    if runs > 7:
        assert texts[-1] == f"{runs - 7} others\nbest 30.0% to {0.3 + (runs - 8) / 100:.1%}"
    assert nothing_is_cut_off(figure)
    assert legend_is_beside_the_data(figure)


def test_the_overview_says_which_run_is_measured_on_training_images_and_never_calls_it_the_best():
    runs = [past_run(1, best=0.9, name="x" * 60, has_validation=False), past_run(2, best=0.5, name="honest")]
    best, other = legend_texts(figures.overview_figure(runs))
    assert "honest" in best
    assert "on training images" in other and "x" * 33 + "…" in other
    assert "No run with an accuracy yet." in all_texts(figures.overview_figure([]))


def bar_heights(axes) -> list:
    return [[bar.get_height() for bar in container] for container in axes.containers]


def test_the_reliability_diagram_shows_accuracy_gap_and_counts_before_and_after(truth, probabilities):
    panels = {"before": reliability(probabilities, truth), "after": reliability(probabilities**2, truth)}
    figure = analysis_figures.reliability_figure(panels, title=TITLE)
    for axes, (heading, bins) in zip(figure.axes[:2], panels.items(), strict=True):
        assert axes.get_title(loc="left") == heading
        filled = [part for part in bins if part.images]
        right, confident, modest = (np.array(heights) for heights in bar_heights(axes))
        np.testing.assert_allclose(right + modest, [part.accuracy for part in filled])
        np.testing.assert_allclose(right + confident, [part.confidence for part in filled])
        assert (np.minimum(confident, modest) == 0).all()
    counts = figure.axes[2]
    assert bar_heights(counts) == [[part.images for part in panels["before"]]]
    assert f"{max(part.images for part in panels['before']):,}" in all_texts(figure)
    assert nothing_is_cut_off(figure)
    empty = [Bin(0.0, 0.0, 0)] * 15
    panels = {"before": [*empty[:-1], Bin(1.0, 0.0, 1)], "after": empty}
    figure = analysis_figures.reliability_figure(panels, title=TITLE)
    assert nothing_is_cut_off(figure)


def test_each_class_has_a_curve_in_its_emotions_colour_best_first(truth, probabilities):
    curves = dict(zip(LABELS, precision_recall(probabilities, truth), strict=True))
    figure = analysis_figures.precision_recall_figure(curves, dict(zip(LABELS, IMAGES, strict=True)), title=TITLE)
    lines = figure.axes[0].get_lines()
    precisions = [curve.average_precision for curve in curves.values()]
    best = LABELS[int(np.argmax(precisions))]
    assert lines[0].get_label() == f"{max(precisions):.1%}  {best} ({IMAGES[LABELS.index(best)]:,} images)"
    assert to_hex(lines[0].get_color()) == emotion_labels.colour(best)
    assert len(lines) == 7
    for line in lines:
        assert len(line.get_xdata()) <= analysis_figures.MOST_POINTS + 1
        assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 1)
    assert nothing_is_cut_off(figure)


def test_a_class_without_images_is_named_and_labels_are_no_formulas():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
    curves = dict(zip((r"$\happy$", "sad"), precision_recall(probabilities, np.array([0, 0])), strict=True))
    figure = analysis_figures.precision_recall_figure(curves, {r"$\happy$": 2, "sad": 0}, title="$a$")
    assert nothing_is_cut_off(figure) and "–  sad (0 images)" in all_texts(figure)


@pytest.mark.filterwarnings("error")
def test_what_the_font_lacks_is_drawn_as_its_escape_without_a_warning(tmp_path):
    labels = ("기쁨", "fröhlich", "שמח", "🦉")
    figure = figures.confusion_figure(np.eye(4, dtype=int), labels, title="기쁨 $a$\nörtlich")
    figures.save(figure, tmp_path / "a.png")
    texts = all_texts(figure)
    assert {r"\uae30\uc068", "fröhlich", "שמח", r"\U0001f989"} <= set(texts)
    assert r"\uae30\uc068 \$a\$" in figure.get_suptitle()
    figures.save(figures.class_distribution_figure({"train": {"기쁨": 3, r"a $\joy$": 2}}), tmp_path / "b.png")


def wrong_face(number: int, **fields) -> WrongFace:
    metadata = {"truth": "sad", "predicted": "happy", "confidence": 0.99, "name": f"test/sad/{number}.jpg"}
    return WrongFace(**metadata | fields)


def sheet(wrong: list[WrongFace]):
    """The figure of faces that are all of one grey value, ten times their number."""
    faces = np.repeat(10 * np.arange(len(wrong), dtype=np.uint8), 48 * 48).reshape(-1, 48, 48, 1)
    return analysis_figures.confidently_wrong_figure(wrong, faces, LABELS, title=f"{TITLE}\nThe surest.")


def test_the_sheet_shows_every_face_pixel_by_pixel_with_its_labels_and_name():
    figure = sheet([wrong_face(number) for number in range(24)])
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    for number in (1, 6, 23):
        assert (pixels == (10 * number, 10 * number, 10 * number, 255)).all(axis=2).sum() >= 192 * 192
    assert {"happy 99.0%", "labelled sad", "23.jpg"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)


def test_a_sheet_of_one_face_with_long_names_and_dollars_is_drawn_and_an_empty_one_says_so():
    names = {"name": "$" + "x" * 200 + "$.jpg", "truth": "y" * 60, "predicted": r"$\frac$"}
    assert nothing_is_cut_off(sheet([wrong_face(1, **names)]))
    empty = sheet([])
    assert "No image is wrong." in all_texts(empty) and nothing_is_cut_off(empty)
