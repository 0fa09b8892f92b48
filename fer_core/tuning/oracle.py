"""What a search tries next: Keras Tuner's oracles, asked for the values of one trial at a time.

An oracle is made anew from the search's plan and entries each time, so that nothing but the entries is ever stored and
a search goes on wherever it was interrupted. Of Keras Tuner's machinery only `populate_space` is used: no tuner, no
files, no threads. What a random search and a grid try as trial n depends on the plan and n alone. Imports Keras Tuner.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import keras_tuner
from keras_tuner.engine.trial import Trial

from fer_core.tuning.bayesian_oracle import BayesianOracle
from fer_core.tuning.entries import CONTINUES, Entry
from fer_core.tuning.folder import Plan
from fer_core.tuning.grid_oracle import GridOracle
from fer_core.tuning.hyperband_oracle import HyperbandOracle
from fer_core.tuning.oracle_space import OracleSpace
from fer_core.tuning.ranking import objective_value
from fer_core.tuning.space import NOTE

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
    space = OracleSpace(plan.parameters, is_grid=plan.spec.oracle == "grid")
    oracle = make_oracle(plan, space, drawn=drawn)
    _remember(oracle, plan, space, trials)
    answer = oracle.populate_space(str(len(trials)))
    if answer["status"] != "RUNNING":
        return "wait" if answer["status"] == "IDLE" else "exhausted"
    values = space.to_settings(answer["values"])
    if first and CONTINUES not in values:
        return {name: value for name, value in values.items() if name.startswith(NOTE)} | first[0]
    return values


def make_oracle(plan: Plan, space: OracleSpace, *, drawn: int) -> keras_tuner.Oracle:
    """Returns the oracle of a search, which knows no trial yet.

    Args:
        drawn: how many trials have been drawn before; the random numbers of this one depend on it.
    """
    spec = plan.spec
    settings = {
        "objective": keras_tuner.Objective("goodness", "max"),
        "hyperparameters": space.hyperparameters,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": spec.seed + 1,  # Keras Tuner takes 0 for "any"
    }
    if spec.oracle == "hyperband":
        oracle = HyperbandOracle(max_epochs=plan.base.epochs, factor=spec.factor, **settings)
    elif spec.oracle == "bayesian":
        oracle = BayesianOracle(max_trials=spec.max_trials, **settings)
    elif spec.oracle == "grid":
        oracle = GridOracle(max_trials=spec.max_trials, **settings)
    else:
        oracle = keras_tuner.oracles.RandomSearchOracle(max_trials=spec.max_trials, **settings)
    oracle._seed_state = _draw_seed(spec.seed, drawn)
    return oracle


class Trials(Mapping[str, Trial]):
    """The trials by id, made when they are looked at: a search of thousands is asked for few of them."""

    def __init__(self, plan: Plan, space: OracleSpace, trials: Sequence[Entry]):
        self._plan, self._space, self._trials = plan, space, trials

    def __getitem__(self, trial_id: str) -> Trial:
        entry = self._trials[int(trial_id)]
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.values = self._space.to_oracle(entry.values)
        trial = Trial(hyperparameters, trial_id=trial_id, status=entry.status)
        if entry.score is not None:
            trial.score = objective_value(self._plan.spec.objective, entry.score)
        return trial

    def __iter__(self) -> Iterator[str]:
        return (str(entry.number) for entry in self._trials)

    def __len__(self) -> int:
        return len(self._trials)


def _remember(oracle: keras_tuner.Oracle, plan: Plan, space: OracleSpace, trials: Sequence[Entry]) -> None:
    """Gives the oracle the trials so far, as it would know them had it lived all the time."""
    oracle.trials = Trials(plan, space, trials)
    oracle.start_order = list(oracle.trials)
    oracle.ongoing_trials = {str(trial.number): None for trial in trials if trial.status == "RUNNING"}
    oracle._tried_so_far = {oracle._compute_values_hash(space.to_oracle(entry.values)) for entry in trials}
    if isinstance(oracle, HyperbandOracle):
        oracle.remember(trials)
    if isinstance(oracle, GridOracle):
        oracle.remember([space.to_oracle(entry.values) for entry in trials[len(plan.first_values) :]])


def _draw_seed(seed: int, drawn: int) -> int:
    digest = hashlib.sha256(f"{seed} {drawn}".encode()).digest()
    return int.from_bytes(digest[:6])
