import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fer_core import emotions
from fer_core.evaluation import analysis_figures
from fer_core.evaluation.analysis_result import WrongFace
from fer_core.evaluation.calibration import Bin, reliability
from fer_core.evaluation.metrics import precision_recall
from tests.evaluation.conftest import IMAGES, LABELS

TITLE = "20260131-140212-attention-3f9a: PublicTest, 3,589 images, 64.3% right"


def all_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def drawn(figure) -> np.ndarray:
    """The figure's pixels at 150 dpi, uint8 (height, width, 4)."""
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def nothing_is_cut_off(figure) -> bool:
    drawn(figure)
    box, page = figure.get_tightbbox(), figure.bbox_inches
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height


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


def test_a_reliability_diagram_of_hardly_any_image_can_be_drawn():
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
    assert lines[0].get_label() == f"{max(precisions):.1%}  {best} ({curves_images(best):,} images)"
    assert to_hex(lines[0].get_color()) == emotions.colour(best)
    assert len(lines) == 7
    for line in lines:
        assert len(line.get_xdata()) <= analysis_figures.MOST_POINTS + 1
        assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 1)
    assert nothing_is_cut_off(figure)


def curves_images(label: str) -> int:
    return IMAGES[LABELS.index(label)]


def test_the_area_under_the_drawn_curve_is_the_average_precision(truth, probabilities):
    few = slice(None, None, 20)
    curve = precision_recall(probabilities[few], truth[few])[3]
    figure = analysis_figures.precision_recall_figure({"happy": curve}, {"happy": 45}, title=TITLE)
    (line,) = figure.axes[0].get_lines()
    recall, precision = line.get_data()
    assert line.get_drawstyle() == "steps-pre"
    assert (np.diff(recall) * precision[1:]).sum() == pytest.approx(curve.average_precision)


def test_a_class_without_images_is_named_and_labels_are_no_formulas():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
    curves = dict(zip((r"$\happy$", "sad"), precision_recall(probabilities, np.array([0, 0])), strict=True))
    figure = analysis_figures.precision_recall_figure(curves, {r"$\happy$": 2, "sad": 0}, title="$a$")
    assert nothing_is_cut_off(figure)
    assert "–  sad (0 images)" in all_texts(figure)


def wrong_face(number: int, **fields) -> WrongFace:
    metadata = {"truth": "sad", "predicted": "happy", "confidence": 0.99, "name": f"test/sad/{number}.jpg"}
    return WrongFace(**metadata | fields)


def sheet(wrong: list[WrongFace]):
    """The figure of faces that are all of one grey value, ten times their number."""
    faces = np.repeat(10 * np.arange(len(wrong), dtype=np.uint8), 48 * 48).reshape(-1, 48, 48, 1)
    return analysis_figures.confidently_wrong_figure(wrong, faces, LABELS, title=f"{TITLE}\nThe surest.")


def test_the_sheet_shows_every_face_pixel_by_pixel_with_its_labels_and_name():
    figure = sheet([wrong_face(number) for number in range(24)])
    pixels = drawn(figure)
    for number in (1, 6, 23):
        assert (pixels == (10 * number, 10 * number, 10 * number, 255)).all(axis=2).sum() >= 192 * 192
    assert {"happy 99.0%", "labelled sad", "23.jpg"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)


def test_a_sheet_of_one_face_with_long_names_and_dollars_is_drawn():
    names = {"name": "$" + "x" * 200 + "$.jpg", "truth": "y" * 60, "predicted": r"$\frac$"}
    assert nothing_is_cut_off(sheet([wrong_face(1, **names)]))


def test_an_empty_sheet_says_so():
    figure = sheet([])
    assert "No image is wrong." in all_texts(figure)
    assert nothing_is_cut_off(figure)
