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
from fer_core.tuning.entries import BRACKET, CONTINUES, ROUND, Entry, Plan
from fer_core.tuning.ranking import is_finished, objective_value
from fer_core.tuning.space import NOTE, Parameter

_DRAWS = 20
"""So many repetitions mean that the space is exhausted, as for Keras Tuner itself."""
_GRID_POINTS = 5
"""Of a range."""

Proposal = dict[str, Any] | Literal["wait", "exhausted"]


def propose(plan: Plan, trials: Sequence[Entry]) -> Proposal:
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
    for values in _proposals(plan, space, trials, drawn):
        if isinstance(values, str):
            return values
        if CONTINUES in values:
            return values
        if first:
            return {name: value for name, value in values.items() if name.startswith(NOTE)} | first[0]
        if _key(values) not in tried:
            return values
    is_needed = plan.spec.oracle == "hyperband" and any(trial.status == "RUNNING" for trial in trials)
    return "wait" if is_needed else "exhausted"


class _Space:
    """The parameters of a search as Keras Tuner's. What is chosen goes by its text: a choice may be a list."""

    def __init__(self, plan: Plan):
        is_grid = plan.spec.oracle == "grid"
        self._choices = {
            parameter.name: {str(value): value for value in parameter.choices or _points(parameter)}
            for parameter in plan.parameters
            if parameter.choices or is_grid
        }
        self._parameters = {parameter.name: parameter for parameter in plan.parameters}
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
        """The recipe's 0 has no place in a logarithmic range: for the oracle it is the lowest value."""
        parameter = self._parameters[name]
        value = value if parameter.choices else _within(parameter, value)
        return str(value) if name in self._choices else value

    def _add(self, parameter: Parameter) -> None:
        own = {"name": parameter.name, "default": self._encode(parameter.name, parameter.default)}
        if parameter.when is not None:
            own |= {"parent_name": parameter.when[0], "parent_values": list(map(str, parameter.when[1]))}
        if parameter.name in self._choices:
            self.hyperparameters.Choice(values=list(self._choices[parameter.name]), **own)
            return
        add = self.hyperparameters.Int if parameter.kind == "int" else self.hyperparameters.Float
        low, high = _within(parameter, parameter.low), _within(parameter, parameter.high)
        add(min_value=low, max_value=high, sampling="log" if parameter.log else "linear", **own)


def _proposals(plan: Plan, space: _Space, trials: Sequence[Entry], drawn: int) -> Iterator[Proposal]:
    """Yields what may be tried next, the best first; 'wait' or 'exhausted' where that is the oracle's answer."""
    if plan.spec.oracle == "grid":
        yield from _grid(plan, space, trials[len(plan.first_values) :])
        return
    ask = {"random": _random, "hyperband": _hyperband, "bayesian": _bayesian}[plan.spec.oracle]
    for draw in range(_DRAWS):
        if draw and ask is _bayesian:  # its best guess is the same each time
            ask = _random
        digest = hashlib.sha256(f"{plan.spec.seed} {drawn} {draw}".encode()).digest()
        common = _common(space) | {"seed": int.from_bytes(digest[:4]) or 1}  # Keras Tuner takes 0 for "any"
        answer = ask(plan, space, trials, common)
        none = "wait" if answer["status"] == "IDLE" else "exhausted"
        yield space.decode(answer["values"]) if answer["status"] == "RUNNING" else none


def _common(space: _Space) -> dict[str, Any]:
    objective = keras_tuner.Objective("objective", "max")
    fixed = {"allow_new_entries": False, "tune_new_entries": False}
    return {"objective": objective, "hyperparameters": space.hyperparameters} | fixed


def _random(plan: Plan, space: _Space, trials: Sequence[Entry], common: dict[str, Any]) -> dict[str, Any]:
    return oracles.RandomSearchOracle(max_trials=plan.spec.max_trials, **common).populate_space(str(len(trials)))


def _bayesian(plan: Plan, space: _Space, trials: Sequence[Entry], common: dict[str, Any]) -> dict[str, Any]:
    """Asks a Gaussian process over what has come to a score. Running trials count as average ones until they end.

    So they are not proposed again. Ginsbourger et al. (2010) call it the constant liar.
    """
    finished = [trial for trial in trials if is_finished(trial)]
    # Keras Tuner's three a dimension would leave most searches of the usual length nothing but random trials.
    if len(finished) < max(3, min(3 * len(plan.parameters), plan.spec.max_trials // 3)):
        return _random(plan, space, trials, common)
    average = fmean(trial.score for trial in finished)
    guess = {"status": "COMPLETED", "score": average}
    running = [trial.model_copy(update=guess) for trial in trials if trial.status == "RUNNING"]
    oracle = oracles.BayesianOptimizationOracle(max_trials=plan.spec.max_trials, num_initial_points=1, **common)
    oracle.trials = _trials(plan, space, [*finished, *running])
    with warnings.catch_warnings(), threadpool_limits(1):  # on so little, threads are in each other's way
        warnings.simplefilter("ignore")  # where all scores are alike, any length scale will do
        return oracle.populate_space(str(len(trials)))


def _hyperband(plan: Plan, space: _Space, trials: Sequence[Entry], common: dict[str, Any]) -> dict[str, Any]:
    """Asks Hyperband (Li et al., JMLR 18 (2018), 1-52), whose brackets are read off the trials."""
    oracle = oracles.HyperbandOracle(max_epochs=plan.base.epochs, factor=plan.spec.factor, **common)
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
    if answer["status"] == "RUNNING":  # it names the newest bracket, whichever the trial is in
        answer["values"][BRACKET] = _bracket_of(str(len(trials)), oracle.get_state()["brackets"])
    return answer


def _bracket_of(trial_id: str, brackets: list[dict[str, Any]]) -> int:
    places = ((bracket["bracket_num"], place) for bracket in brackets for one in bracket["rounds"] for place in one)
    return next(number for number, place in places if place["id"] == trial_id)


def _grid(plan: Plan, space: _Space, trials: Sequence[Entry]) -> Iterator[Proposal]:
    """Yields the combinations after the last one, each made by an oracle that knows only the one before.

    A living one waits for trials to end before it goes on, and does not save its place.
    """
    values = space.encode(trials[-1].values) if trials else None
    while True:
        oracle = oracles.GridSearchOracle(max_trials=plan.spec.max_trials, seed=1, **_common(space))
        answer = oracle.populate_space("before")  # the first combination; the next call has the one after "before"
        if values is not None:
            oracle.start_order, oracle.trials = ["before"], {"before": _trial("before", values, "COMPLETED")}
            answer = oracle.populate_space("next")
        values = answer["values"]
        if values is None:
            return
        yield space.decode(values)


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


def _points(parameter: Parameter) -> list[int | float]:
    """Returns what a grid tries of a range: both ends, points evenly between them, and the recipe's own value."""
    spaced = np.geomspace if parameter.log else np.linspace
    found = {float(f"{value:.6g}") for value in spaced(parameter.low, parameter.high, _GRID_POINTS)}
    return sorted({_within(parameter, value) for value in (*found, parameter.default)})


def _within(parameter: Parameter, value: float) -> int | float:
    number = min(max(value, parameter.low), parameter.high)
    return int(number) if parameter.kind == "int" else float(number)


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in values.items() if not name.startswith(NOTE)}, sort_keys=True)
