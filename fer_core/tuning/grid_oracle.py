"""Keras Tuner's grid in one fixed order: a trial's values depend on its number alone. Imports Keras Tuner."""

from typing import Any, final

from keras_tuner.oracles import GridSearchOracle


@final
class GridOracle(GridSearchOracle):
    """Goes from each combination to the next one, whether or not its trial has ended.

    Keras Tuner's own order depends on which trials end first, and it loses its place when it is stopped.
    """

    _before: dict[str, Any] | None = None

    def remember(self, combinations: list[dict[str, Any]]) -> None:
        """Takes the combinations of the grid that were tried so far, in their order."""
        self._before = combinations[-1] if combinations else None

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the first combination after the last one that was not tried otherwise; status STOPPED at the end."""
        values = self._first() if self._before is None else self._get_next_combination(self._before)
        while values is not None and self._duplicate(values):
            values = self._get_next_combination(values)
        return {"status": "RUNNING" if values is not None else "STOPPED", "values": values}

    def _first(self) -> dict[str, Any]:
        space = self.get_space()
        return {one.name: one.default for one in space.space if space.is_active(one)}
