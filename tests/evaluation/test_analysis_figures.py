import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fer_core import emotions
from fer_core.evaluation import analysis_figures
from fer_core.evaluation.analysis_figures import Panel, SheetFace
from fer_core.evaluation.calibration import Bin, reliability
from fer_core.evaluation.precision_recall import precision_recall
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


def bars(axes) -> list:
    return [[bar.get_height() for bar in container] for container in axes.containers]


def test_the_reliability_diagram_shows_accuracy_gap_and_counts_before_and_after(truth, probabilities):
    panels = [
        Panel("before", reliability(probabilities, truth)),
        Panel("after", reliability(probabilities**2, truth)),
    ]
    figure = analysis_figures.reliability_figure(panels, title=TITLE)
    for axes, panel in zip(figure.axes[:2], panels, strict=True):
        filled = [part for part in panel.bins if part.images]
        right, confident, modest = (np.array(heights) for heights in bars(axes))
        np.testing.assert_allclose(right + modest, [part.accuracy for part in filled])
        np.testing.assert_allclose(right + confident, [part.confidence for part in filled])
        assert (np.minimum(confident, modest) == 0).all()
    counts = figure.axes[2]
    assert bars(counts) == [[part.images for part in panels[0].bins]]
    assert f"{max(part.images for part in panels[0].bins):,}" in all_texts(figure)
    assert nothing_is_cut_off(figure)


def test_a_reliability_diagram_of_hardly_any_image_can_be_drawn():
    empty = [Bin(0.0, 0.0, 0)] * 15
    panels = [Panel("before", [*empty[:-1], Bin(1.0, 0.0, 1)]), Panel("after", empty)]
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


def sheet_face(number: int, **fields) -> SheetFace:
    face = np.full((48, 48), 10 * number, np.uint8)
    metadata = {"truth": "sad", "predicted": "happy", "confidence": 0.99, "name": f"{number}.jpg", "colour": "#e6a700"}
    return SheetFace(face_gray=face, **metadata | fields)


def test_the_sheet_shows_every_face_pixel_by_pixel_with_its_labels_and_name():
    faces = [sheet_face(number) for number in range(24)]
    figure = analysis_figures.confidently_wrong_figure(faces, title=f"{TITLE}\nThe 24 surest.")
    pixels = drawn(figure)
    for number in (1, 6, 23):
        assert (pixels == (10 * number, 10 * number, 10 * number, 255)).all(axis=2).sum() >= 192 * 192
    assert {"happy 99.0%", "labelled sad", "23.jpg"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)


def test_a_sheet_of_one_face_with_long_names_and_dollars_is_drawn():
    figure = analysis_figures.confidently_wrong_figure(
        [sheet_face(1, name="$" + "x" * 200 + "$.jpg", truth="y" * 60, predicted=r"$\frac$")], title=TITLE
    )
    assert nothing_is_cut_off(figure)


def test_an_empty_sheet_says_so():
    figure = analysis_figures.confidently_wrong_figure([], title=TITLE)
    assert "No image is wrong." in all_texts(figure)
    assert nothing_is_cut_off(figure)
