import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fer_core.evaluation import figures, look

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


def all_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def nothing_is_cut_off(figure) -> bool:
    FigureCanvasAgg(figure).draw()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height


def legend_is_beside_the_data(figure) -> bool:
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    legend, data = axes.get_legend().get_window_extent(), axes.get_window_extent()
    return legend.y0 >= data.y1 - 1 or legend.x0 >= data.x1 - 1


@pytest.mark.parametrize("epochs", [1, 3, 100])
@pytest.mark.parametrize("column", figures.CURVES)
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


def test_one_epoch_alone_is_seen_as_points():
    lines = drawn_lines(figures.curve_figure(history(1), "accuracy", title=TITLE, kept_epoch=1))
    assert lines["training"].get_marker() == "o"
    assert lines["validation"].get_marker() == "s"


def test_a_long_training_is_drawn_without_markers():
    lines = drawn_lines(figures.curve_figure(history(100), "accuracy", title=TITLE, kept_epoch=None))
    assert lines["training"].get_marker() == ""


def test_shares_are_written_in_percent_and_loss_begins_at_zero():
    accuracy = figures.curve_figure(history(9), "accuracy", title=TITLE, kept_epoch=None).axes[0]
    loss = figures.curve_figure(history(9), "loss", title=TITLE, kept_epoch=None).axes[0]
    assert accuracy.yaxis.get_major_formatter()(0.5) == "50%"
    assert loss.get_ylim()[0] == 0


def test_without_validation_the_kept_epoch_is_marked_on_the_training_curve():
    figure = figures.curve_figure(history(3, with_validation=False), "accuracy", title=TITLE, kept_epoch=2)
    assert legend_texts(figure) == ["training", "kept: epoch 2 (50.0%)"]


def test_missing_values_are_left_out_and_a_history_without_any_says_so():
    rows = history(3, with_validation=False)
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


def test_numbers_are_white_on_dark_cells_and_dark_on_light_ones():
    figure = figures.confusion_figure(np.array([[98, 2], [0, 9]]), ["happy", "sad"], title=TITLE)
    assert [text.get_color() for text in figure.axes[1].texts] == ["white", "#1a1a1a", "#9a9a9a", "white"]


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


def test_the_overview_says_which_run_is_measured_on_training_images():
    figure = figures.overview_figure([past_run(1, best=0.5, name="x" * 60, has_validation=False)])
    assert "on training images" in legend_texts(figure)[0]
    assert "x" * 33 + "…" in legend_texts(figure)[0]


def test_a_run_measured_on_training_images_is_never_called_the_best():
    runs = [past_run(1, best=0.9, name="by_heart", has_validation=False), past_run(2, best=0.5, name="honest")]
    assert "honest" in legend_texts(figures.overview_figure(runs))[0]


def test_an_overview_of_nothing_says_so():
    assert "No run with an accuracy yet." in all_texts(figures.overview_figure([]))


def test_a_plot_is_written_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new folder" / "accuracy.png"
    look.save(figures.curve_figure(history(3), "accuracy", title=TITLE, kept_epoch=2), path)
    assert list(path.parent.iterdir()) == [path]
    picture = cv2.imread(str(path))
    assert picture.shape == (720, 1200, 3)
    assert (picture[0] == 255).all()


def test_drawing_does_not_touch_pyplot(tmp_path):
    program = (
        "import sys, pathlib\nfrom fer_core.evaluation import figures, look\n"
        "light = 'matplotlib' not in sys.modules\n"
        "figure = figures.class_distribution_figure({'train': {'a': 1, 'b': 2}})\n"
        f"look.save(figure, pathlib.Path({str(tmp_path / 'a.png')!r}))\n"
        "sys.exit(0 if light and 'matplotlib.pyplot' not in sys.modules else 1)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
