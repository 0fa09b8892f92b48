"""Which settings mattered: made trials, of which it is known."""

import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.tuning.entries import Entry
from fer_core.tuning.importance import LEAST_TRIALS, findings
from fer_core.tuning.space import Parameter

PARAMETERS = (
    Parameter(name="learning_rate", kind="float", low=1e-5, high=1e-1, log=True, default=1e-3),
    Parameter(name="class_weights", kind="choice", choices=("none", "balanced"), default="none"),
    Parameter(name="momentum", kind="float", low=0.8, high=0.99, default=0.9),
    Parameter(name="seed", kind="int", low=1, high=1, default=1),
)


def trials(count: int, *, noise: float = 0.002) -> list[Entry]:
    """Returns trials whose score falls with the distance of the learning rate from 0.001, and a little with 'none'."""
    random, found = np.random.default_rng(0), []
    for number in range(count):
        values = {"learning_rate": float(10 ** random.uniform(-5, -1)), "seed": 1}
        values["class_weights"] = ("none", "balanced")[number % 2]
        values |= {"momentum": float(random.uniform(0.8, 0.99))} if number % 3 else {}
        score = 0.6 - 0.1 * abs(np.log10(values["learning_rate"]) + 3) + 0.05 * (values["class_weights"] == "balanced")
        score = float(score + noise * random.normal())
        found.append(Entry(number=number, seed=0, values=values, run=f"run-{number}", status="COMPLETED", score=score))
    return found


def test_the_setting_that_decides_comes_first_and_one_without_effect_last():
    found = findings(trials(60), PARAMETERS)
    assert [one.name for one in found.settings] == ["learning_rate", "class_weights", "momentum"]
    assert found.settings[0].share > 0.6
    assert found.settings[2].share < 0.05
    assert sum(one.share for one in found.settings) == pytest.approx(1)
    assert (found.trials, found.explained > 0.7) == (60, True)


def test_the_map_of_two_settings_is_best_where_the_scores_are():
    surface = findings(trials(60), PARAMETERS).surface
    assert (surface.x, surface.y, surface.ys) == ("learning_rate", "class_weights", ["none", "balanced"])
    scores = np.array(surface.scores)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    assert (surface.ys[row], 3e-4 < surface.xs[column] < 3e-3) == ("balanced", True)
    other = findings(trials(60), PARAMETERS, x="momentum", y="learning_rate").surface
    assert (other.x, other.y, np.shape(other.scores)) == ("momentum", "learning_rate", (15, 15))


def test_trials_that_tell_nothing_explain_nothing():
    random = np.random.default_rng(3)
    noise = [entry.model_copy(update={"score": float(random.normal())}) for entry in trials(60)]
    assert findings(noise, PARAMETERS).explained < 0.1


def test_of_few_trials_nothing_is_said_and_a_setting_that_does_not_vary_is_refused():
    assert findings(trials(LEAST_TRIALS - 1), PARAMETERS) is None
    with pytest.raises(ConfigError, match="seed does not vary"):
        findings(trials(20), PARAMETERS, x="seed")
