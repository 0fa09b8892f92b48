"""Tracking, smoothing, `unsure`, calibration and framing are as tests/rules.json has them; so are the browser's."""

import json

import numpy as np
import pytest

from tests.live.rules import FILE, result

CASES = json.loads(FILE.read_text())


@pytest.mark.parametrize("place", range(len(CASES)), ids=lambda place: f"{CASES[place]['rule']}-{place}")
def test_python_keeps_the_rules_that_the_browser_keeps(place):
    case = CASES[place]
    found, expected = result(case["rule"], case["given"]), case["expected"]
    if case["rule"] == "tracker":
        assert [[row[:2] for row in step] for step in found] == [[row[:2] for row in step] for step in expected]
        found, expected = (
            [number for step in both for row in step for number in row[2:]] for both in (found, expected)
        )
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=0, atol=1e-6)
