"""From RUNNING to its end: what `state.json` says of a run while its process works on it, and afterwards."""

import contextlib
import traceback
from collections.abc import Iterator

from fer_core.errors import FerError
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.files import DiskFullError
from fer_core.store.run import Run
from fer_core.training.report import Report, RunReport


@contextlib.contextmanager
def lifecycle(run: Run, report: Report) -> Iterator[RunReport]:
    """Keeps state.json true, however the work ends; gives what notes and tells its events."""
    state = run.update_state(
        status="RUNNING",
        attempt=run.state.attempt + 1,
        message="",
        started_utc=utc_text(utc_now()),
        finished_utc=None,
    )
    with RunReport(run, state.attempt, report) as told:
        try:
            yield told
        except (KeyboardInterrupt, BrokenPipeError):
            _end(run, "INTERRUPTED", f"Interrupted after epoch {run.state.epoch}.")
            raise
        except DiskFullError as error:
            # There may be no room for this either; whoever made room can go on with --resume latest.
            with contextlib.suppress(DiskFullError):
                _end(run, "INTERRUPTED", str(error))
            raise
        except FerError as error:
            _end(run, "FAILED", str(error))
            raise
        except Exception as error:
            _end(run, "FAILED", f"Internal error: {error!r}")
            told.note(traceback.format_exc())
            raise
    _end(run, "SUCCEEDED", "")


def _end(run: Run, status: str, message: str) -> None:
    run.update_state(status=status, message=message, finished_utc=utc_text(utc_now()))
