"""Notices that another model was promoted, and loads it beside the loop, which goes on with the old one until then."""

import threading
import time
from collections.abc import Callable

from fer_core.errors import FerError
from fer_core.live.classifier import Classifier, Runtime, make_classifier
from fer_core.paths import Paths
from fer_core.store.model_files import find_model
from fer_core.store.promotion import current

CHECK_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""After a promoted model could not be read: it may still be on its way, on a shared disk."""


class ModelWatch:
    """Looks once a second which run is in use; `poll` returns the new model's classifier once it is loaded."""

    def __init__(
        self,
        paths: Paths,
        *,
        loaded: str,
        runtime: Runtime,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """`loaded`: the name of the model that is read with. `notice` is told in one sentence what happens."""
        self._paths, self._runtime, self._notice, self._clock = paths, runtime, notice, clock
        self._loaded = loaded
        self._next_check = clock() + CHECK_SECONDS
        self._thread: threading.Thread | None = None
        self._outcome: Classifier | Exception | None = None

    def poll(self) -> Classifier | None:
        """Returns the classifier of a newly promoted model, once; else None. Takes microseconds."""
        if self._thread is not None:
            return None if self._thread.is_alive() else self._result()
        if self._clock() < self._next_check:
            return None
        self._next_check = self._clock() + CHECK_SECONDS
        if self._promoted() not in (None, self._loaded):
            self._thread = threading.Thread(target=self._load, name="promoted model", daemon=True)
            self._thread.start()
        return None

    def _promoted(self) -> str | None:
        """Returns the run in use; None where there is none, or where that cannot be read now."""
        try:
            pointer = current(self._paths)
        except (FerError, OSError):
            return None
        return pointer.run if pointer else None

    def _load(self) -> None:
        try:
            model = find_model(None, self._paths)
            self._outcome = make_classifier(model, self._paths, runtime=self._runtime)
        except (FerError, OSError) as error:
            self._outcome = error

    def _result(self) -> Classifier | None:
        self._thread = None
        outcome, self._outcome = self._outcome, None
        if outcome is None or isinstance(outcome, Exception):
            self._next_check = self._clock() + RETRY_SECONDS
            self._notice(f"The newly promoted model cannot be used: {outcome or 'loading it failed.'}")
            return None
        self._loaded = outcome.name
        self._notice(f"Now reading with {outcome.name}, which was promoted just now.")
        return outcome
