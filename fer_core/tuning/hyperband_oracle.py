"""Keras Tuner's Hyperband, whose brackets are read off its trials. Imports Keras Tuner.

Source: Li et al., JMLR 18 (2018), 1-52.
"""

from collections.abc import Sequence
from typing import Any, final

from keras_tuner.oracles import HyperbandOracle as KerasTunerHyperband

from fer_core.tuning.entries import CONTINUES, Entry

BRACKET = "tuner/bracket"
ROUND = "tuner/round"


@final
class HyperbandOracle(KerasTunerHyperband):
    """One pass of Hyperband: each bracket begins many trials, and trains the best of them longer and longer."""

    def remember(self, trials: Sequence[Entry]) -> None:
        """Takes the trials so far; their notes say which place of which bracket each has."""
        top = self._get_num_brackets() - 1
        self._current_bracket = min((trial.values[BRACKET] for trial in trials), default=top)
        brackets = {
            number: {"bracket_num": number, "rounds": [[] for _ in range(self._get_num_rounds(number))]}
            for number in range(top, self._current_bracket - 1, -1)
        }
        for trial in trials:
            place = {"past_id": trial.values.get(CONTINUES), "id": str(trial.number)}
            brackets[trial.values[BRACKET]]["rounds"][trial.values[ROUND]].append(place)
        self._brackets = list(brackets.values())

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns Keras Tuner's answer, with the bracket that the trial is in; it names the newest one instead."""
        answer = super().populate_space(trial_id)
        if answer["status"] == "RUNNING":
            answer["values"][BRACKET] = next(
                bracket["bracket_num"]
                for bracket in self._brackets
                for one_round in bracket["rounds"]
                for place in one_round
                if place["id"] == trial_id
            )
        return answer
