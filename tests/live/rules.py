"""Cases of tracking, smoothing, `unsure`, calibration and framing, with what Python makes of them: so must browsers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fer_core.evaluation.calibration import as_probabilities, divided, with_temperature
from fer_core.faces import Box, Face
from fer_core.faces.framing import Framing, square_of
from fer_core.live.prediction import ShownLabel
from fer_core.live.predictor import SteadyBox, SteadyLabel, SteadyProbabilities
from fer_core.live.tracker import Tracker

LABELS = 3


def cases() -> Iterator[tuple[str, Any, Any]]:
    """Yields a rule, what it is given and what it makes of that, as plain values."""
    for rule, given in _givens():
        yield rule, given, _RULES[rule](given)


def _tracked(steps: list[dict]) -> list[list]:
    tracker, results = Tracker(), []
    for step in steps:
        tracker.find([Face(Box(*box), 1.0) for box in step["boxes"]], step["seconds"])
        results.append([[track.person, track.is_found, *track.box] for track in tracker.people])
    return results


def _steady_probabilities(given: dict) -> list[list[float]]:
    steady = SteadyProbabilities(given["smoothing"])
    return [steady.update(np.array(row), seconds).tolist() for seconds, row in given["steps"]]


def _steady_label(steps: list) -> list[list]:
    steady = SteadyLabel()
    return [list(steady.update(ShownLabel(label, unsure), seconds)) for seconds, label, unsure in steps]


def _steady_box(steps: list) -> list[list[float]]:
    steady = SteadyBox()
    return [list(steady.update(Box(*box), seconds)) for seconds, box in steps]


def _calibrated(given: dict) -> list[float]:
    row = as_probabilities(np.array([given["answer"]], np.float32), given["outputs"])
    row = divided(row, given["divided_by"]) if given["divided_by"] else row
    return with_temperature(row, given["temperature"])[0].tolist()


def _square(given: dict) -> list[float]:
    return list(square_of(Box(*given["box"]), Framing(**given["framing"]), roll=given["roll"]))


_RULES = {
    "tracker": _tracked,
    "probabilities": _steady_probabilities,
    "label": _steady_label,
    "box": _steady_box,
    "calibrated": _calibrated,
    "square": _square,
}


def _times(random: np.random.Generator, count: int) -> list[float]:
    return np.round(np.cumsum(random.choice([0.02, 0.033, 0.05, 0.12, 0.4], count)), 3).tolist()


def _walks(random: np.random.Generator, people: int) -> list[dict]:
    """People who walk through the picture, also past each other; some are not found at times, some found twice."""
    places, ways = random.uniform(50, 500, (people, 2)), random.uniform(-150, 150, (people, 2))
    steps = []
    for seconds in _times(random, 40):
        boxes = []
        for place, way in zip(places, ways, strict=True):
            side = 60 + 20 * np.sin(seconds)
            x, y = place + way * seconds + random.normal(0, 2, 2)
            boxes += [[x, y, side, 1.2 * side]] * int(random.random() > 0.15)
            boxes += [[x + 5, y + 5, side / 2, side / 2]] * int(random.random() < 0.05)
        steps.append({"seconds": seconds, "boxes": np.round(boxes, 1).tolist()})
    return steps


def _givens() -> list[tuple[str, Any]]:
    random = np.random.default_rng(17)
    box = {"scale": 1.105, "right": -0.005, "down": -0.028}
    rows = np.round(random.dirichlet(np.ones(LABELS), 40), 4).tolist()
    labels = np.round(np.cumsum(random.random(60) < 0.3)) % 4
    walk = np.round(np.cumsum(random.normal(0, 6, (40, 4)), axis=0) + np.array([100, 90, 80, 90]), 2).tolist()
    calibrated = [
        {"answer": rows[0], "outputs": "probabilities", "divided_by": None, "temperature": 1.0},
        {"answer": rows[1], "outputs": "probabilities", "divided_by": [0.5, 0.9, 0.2], "temperature": 0.65},
        {"answer": [0.0, 1.0, 0.0], "outputs": "probabilities", "divided_by": None, "temperature": 2.5},
        {"answer": [0.2, 0.9, 0.4], "outputs": "scores", "divided_by": None, "temperature": 1.4},
        {"answer": [-3.0, 12.0, 4.5], "outputs": "logits", "divided_by": [0.1, 0.8, 0.1], "temperature": 1.0},
    ]
    return [
        *(("tracker", _walks(random, people)) for people in (1, 3, 5)),
        *(
            ("probabilities", {"smoothing": smoothing, "steps": list(zip(_times(random, 40), rows, strict=True))})
            for smoothing in (0.0, 0.5, 2.0)
        ),
        ("label", [[t, int(one) // 2, bool(one % 2)] for t, one in zip(_times(random, 60), labels, strict=True)]),
        ("box", [list(step) for step in zip(_times(random, 40), walk, strict=True)]),
        *(("calibrated", given) for given in calibrated),
        *(("square", {"box": [10.5, 20.0, 90.0, 110.0], "framing": box, "roll": roll}) for roll in (0.0, 25.0, -140.0)),
    ]
