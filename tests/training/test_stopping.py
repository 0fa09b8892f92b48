"""A training that is ended from outside, as a search ends its trials."""

import contextlib
import os
import signal

import pytest

from fer_core.errors import Interrupted
from fer_core.interruption import signals_as_exceptions
from fer_core.store.metrics import read_metrics
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER, read_history
from fer_core.training.train import train


def test_a_training_that_is_stopped_is_whole_and_stays_stopped_when_it_is_resumed(
    paths, session_paths, small_config, small_dataset
):
    run = create_run(paths, small_config.model_copy(update={"threads": 0}), history_header=HISTORY_HEADER)
    asked = []

    def interrupt(rows):
        raise Interrupted(15)

    def stop(rows):
        asked.append([row["epoch"] for row in rows])
        return True

    with pytest.raises(Interrupted):
        train(run, small_dataset, paths=session_paths, is_stopped=interrupt)
    assert (run.state.status, run.state.epoch) == ("INTERRUPTED", 1)
    result = train(run, small_dataset, paths=session_paths, is_stopped=stop)
    assert asked == [[1]]
    assert (run.state.status, run.state.epoch, result.kept_epoch) == ("SUCCEEDED", 1, 1)
    assert len(read_history(run.history_csv).rows) == 1
    assert run.model_h5.is_file()
    said = [entry["text"] for entry in read_metrics(run.metrics_jsonl) if entry["kind"] == "event"]
    assert "Stopped early after epoch 1 of 3, by whoever started it." in said


def test_a_signal_that_a_library_swallows_ends_the_training_at_its_next_step(
    paths, session_paths, small_config, small_dataset
):
    run = create_run(paths, small_config.model_copy(update={"threads": 0}), history_header=HISTORY_HEADER)

    def swallow(rows):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    with signals_as_exceptions():
        with pytest.raises(Interrupted):
            train(run, small_dataset, paths=session_paths, is_stopped=swallow)
        with pytest.raises(Interrupted):
            train(run, small_dataset, paths=session_paths)
    assert (run.state.status, run.state.epoch, run.state.attempt) == ("INTERRUPTED", 1, 1)
