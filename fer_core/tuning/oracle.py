"""What a search tries next: one of Keras Tuner's oracles, asked for the values of one trial. Imports Keras Tuner.

The oracle is made anew for each trial from the search's plan and entries, so that a search continues wherever it was
interrupted and nothing but the entries is saved. Only `populate_space` of it is used: no tuner, no files, no threads.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

import keras_tuner
import numpy as np
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial
from threadpoolctl import threadpool_limits

from fer_core.store.files import plain
from fer_core.tuning.entries import BRACKET, CONTINUES, ROUND, Entry, Plan, is_finished, objective_value
from fer_core.tuning.space import NOTE, Parameter

_DRAWS = 20
"""So many repetitions mean that the space is exhausted, as for Keras Tuner itself."""
_GRID_POINTS = 5
"""Of a range."""


def propose(plan: Plan, trials: Sequence[Entry]) -> dict[str, Any] | Literal["wait", "exhausted"]:
    """Returns the values of the next trial; 'wait' if some trial must end before, 'exhausted' if there is no more.

    Args:
        trials: all so far, in the order of their numbers.
    """
    drawn = sum(CONTINUES not in trial.values for trial in trials)
    first = plan.first_values[drawn : drawn + 1]
    if first and plan.spec.oracle != "hyperband":
        return dict(first[0])
    space = _Space(plan)
    tried = {_key(trial.values) for trial in trials}
    answers = {"random": _random, "hyperband": _hyperband, "bayesian": _bayesian, "grid": _grid}[plan.spec.oracle]
    for answer in answers(plan, space, trials):
        if answer["status"] != "RUNNING":
            return "wait" if answer["status"] == "IDLE" else "exhausted"
        values = space.decode(answer["values"])
        if first and CONTINUES not in values:
            return {name: value for name, value in values.items() if name.startswith(NOTE)} | first[0]
        if CONTINUES in values or _key(values) not in tried:
            return values
    is_needed = plan.spec.oracle == "hyperband" and any(trial.status == "RUNNING" for trial in trials)
    return "wait" if is_needed else "exhausted"


class _Space:
    """The parameters of a search as Keras Tuner's. What is chosen goes by its text: a choice may be a list."""

    def __init__(self, plan: Plan):
        self._parameters = {parameter.name: parameter for parameter in plan.parameters}
        self._choices = {one.name: {str(value): value for value in one.choices} for one in plan.parameters}
        if plan.spec.oracle == "grid":
            self._choices = {one.name: {str(value): value for value in _points(one)} for one in plan.parameters}
        self.hyperparameters = keras_tuner.HyperParameters()
        for parameter in plan.parameters:
            self._add(parameter)

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns settings as the oracle has them; Hyperband's notes stay as they are."""
        return {name: value if name.startswith(NOTE) else self._encode(name, value) for name, value in values.items()}

    def decode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the oracle's values as settings."""
        return {name: self._choices.get(name, {}).get(value, value) for name, value in plain(dict(values)).items()}

    def _encode(self, name: str, value: Any) -> Any:
        parameter = self._parameters[name]
        value = value if parameter.choices else _within(parameter, value)
        return str(value) if self._choices[name] else value

    def _add(self, parameter: Parameter) -> None:
        own = {"name": parameter.name, "default": self._encode(parameter.name, parameter.default)}
        if parameter.when is not None:
            own |= {"parent_name": parameter.when[0], "parent_values": list(map(str, parameter.when[1]))}
        if choices := list(self._choices[parameter.name]):
            self.hyperparameters.Choice(values=choices, **own)
        else:
            add = self.hyperparameters.Int if parameter.kind == "int" else self.hyperparameters.Float
            low, high = _within(parameter, parameter.low), _within(parameter, parameter.high)
            add(min_value=low, max_value=high, sampling="log" if parameter.log else "linear", **own)


def _random(plan: Plan, space: _Space, trials: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    oracle = oracles.RandomSearchOracle(max_trials=plan.spec.max_trials, **_settings(plan, space, trials))
    return (oracle.populate_space(str(len(trials))) for _ in range(_DRAWS))


def _bayesian(plan: Plan, space: _Space, trials: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yields what a Gaussian process over the finished trials promises most of. Running ones count as average.

    So they are not proposed again; Ginsbourger et al. (2010) call it the constant liar.
    """
    finished = [trial for trial in trials if is_finished(trial)]
    # Keras Tuner's three a dimension would leave most searches of the usual length nothing but random trials.
    if len(finished) >= max(3, min(3 * len(plan.parameters), plan.spec.max_trials // 3)):
        guess = {"status": "COMPLETED", "score": fmean(trial.score for trial in finished)}
        running = [trial.model_copy(update=guess) for trial in trials if trial.status == "RUNNING"]
        own = {"max_trials": plan.spec.max_trials, "num_initial_points": 1}
        oracle = oracles.BayesianOptimizationOracle(**own, **_settings(plan, space, trials))
        oracle.trials = _trials(plan, space, [*finished, *running])
        oracle.gpr.set_params(n_restarts_optimizer=4)  # for 20, all others wait twice as long from 300 trials on
        with warnings.catch_warnings(), threadpool_limits(1):  # on so little, threads are in each other's way
            warnings.simplefilter("ignore")  # where all scores are alike, any length scale will do
            yield oracle.populate_space(str(len(trials)))
    yield from _random(plan, space, trials)


def _hyperband(plan: Plan, space: _Space, trials: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yields what Hyperband (Li et al., JMLR 18 (2018), 1-52) asks for. Its brackets are read off the trials."""
    for draw in range(_DRAWS):
        own = {"max_epochs": plan.base.epochs, "factor": plan.spec.factor}
        oracle = oracles.HyperbandOracle(**own, **_settings(plan, space, trials, draw))
        oracle.trials = _trials(plan, space, trials)
        state = oracle.get_state()
        top = state["current_bracket"]
        newest = min((trial.values[BRACKET] for trial in trials), default=top)
        rounds = {number: [[] for _ in range(number + 1)] for number in range(top, newest - 1, -1)}
        for trial in trials:
            place = {"past_id": trial.values.get(CONTINUES), "id": str(trial.number)}
            rounds[trial.values[BRACKET]][trial.values[ROUND]].append(place)
        brackets = [{"bracket_num": number, "rounds": places} for number, places in rounds.items()]
        running = {str(trial.number): str(trial.number) for trial in trials if trial.status == "RUNNING"}
        oracle.set_state(state | {"brackets": brackets, "current_bracket": newest, "ongoing_trials": running})
        answer = oracle.populate_space(str(len(trials)))
        for bracket in oracle.get_state()["brackets"] if answer["status"] == "RUNNING" else ():
            if any(place["id"] == str(len(trials)) for places in bracket["rounds"] for place in places):
                answer["values"][BRACKET] = bracket["bracket_num"]  # it names the newest one instead
        yield answer


def _grid(plan: Plan, space: _Space, trials: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yields the combinations after the last one, each made by an oracle that knows only the one before.

    A living one waits for trials to end before it goes on, and does not save its place.
    """
    before = space.encode(trials[-1].values) if len(trials) > len(plan.first_values) else None
    while True:
        oracle = oracles.GridSearchOracle(max_trials=plan.spec.max_trials, **_settings(plan, space, trials))
        answer = oracle.populate_space("before")  # the first combination; the next call has the one after "before"
        if before is not None:
            oracle.start_order, oracle.trials = ["before"], {"before": _trial("before", before, "COMPLETED")}
            answer = oracle.populate_space("next")
        before = answer["values"]
        yield answer


def _settings(plan: Plan, space: _Space, trials: Sequence[Entry], draw: int = 0) -> dict[str, Any]:
    drawn = sum(CONTINUES not in trial.values for trial in trials)
    digest = hashlib.sha256(f"{plan.spec.seed} {drawn} {draw}".encode()).digest()
    return {
        "objective": keras_tuner.Objective("objective", "max"),
        "hyperparameters": space.hyperparameters,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": int.from_bytes(digest[:4]) or 1,  # Keras Tuner takes 0 for "any"
    }


def _trials(plan: Plan, space: _Space, entries: Iterable[Entry]) -> dict[str, Trial]:
    trials = {}
    for entry in entries:
        trial = trials[str(entry.number)] = _trial(str(entry.number), space.encode(entry.values), entry.status)
        if entry.score is not None:
            trial.score = objective_value(plan.spec.objective, entry.score)
    return trials


def _trial(trial_id: str, values: dict[str, Any], status: str) -> Trial:
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = values
    return Trial(hyperparameters, trial_id=trial_id, status=status)


def _points(parameter: Parameter) -> list[Any]:
    """Returns what a grid tries: each choice; of a range both ends, points between them, and the recipe's own value."""
    if parameter.choices:
        return list(parameter.choices)
    spaced = np.geomspace if parameter.log else np.linspace
    found = {float(f"{value:.6g}") for value in spaced(parameter.low, parameter.high, _GRID_POINTS)}
    return sorted({_within(parameter, value) for value in (*found, parameter.default)})


def _within(parameter: Parameter, value: float) -> int | float:
    """Returns the number nearest to the value: the recipe's 0 has no place in a logarithmic range."""
    number = min(max(value, parameter.low), parameter.high)
    return int(number) if parameter.kind == "int" else float(number)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in values.items() if not name.startswith(NOTE)}, sort_keys=True)
