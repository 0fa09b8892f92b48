"""An ensemble: finished runs whose answers are averaged, as one stock Keras model in a run of its own.

It is scored, calibrated, exported and promoted like any other run, and opens wherever its members do. Imports Keras.
"""

from collections.abc import Sequence

import keras

from fer_core.data.dataset import Dataset
from fer_core.evaluation.metrics import Evaluation
from fer_core.places import Places
from fer_core.store.artifacts import load_model
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.checkpoint import Progress
from fer_core.training.finish import finish
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.record import record_data
from fer_core.training.report import Report, RunReport, ignore


def begin_ensemble(members: Sequence[Run], dataset: Dataset, places: Places, *, promote: bool) -> Run:
    """Returns a new run for the ensemble, with the settings of its first member. Raises DatasetError for other data."""
    config = members[0].manifest.config
    parent = " ".join(run.id for run in members)
    made = {"recipe": "ensemble", "parent": parent, "promote": promote, "history_header": HISTORY_HEADER}
    run = create_run(places, config, **made)
    record_data(run, dataset)
    return run


def finish_ensemble(run: Run, members: Sequence[Run], dataset: Dataset, *, report: Report = ignore) -> Evaluation:
    """Averages the members into one model, scores it on test and saves it; nothing is trained."""
    with run.hold():
        state = run.update_state(status="RUNNING", attempt=run.state.attempt + 1, started_utc=utc_text(utc_now()))
        model = averaged([load_model(member.model_h5) for member in members])
        with RunReport(run, state.attempt, report) as told:
            evaluation = finish(run, model, dataset, Progress(), told)
        run.update_state(status="SUCCEEDED", finished_utc=utc_text(utc_now()))
    return evaluation


def averaged(models: Sequence[keras.Model]) -> keras.Model:
    """Returns one model that gives the mean of the models' probabilities, in stock layers."""
    pixels = keras.Input(models[0].input_shape[1:], name="pixels")
    for number, model in enumerate(models):
        model.name = f"member_{number + 1}"
    return keras.Model(pixels, keras.layers.Average(name="probabilities")([model(pixels) for model in models]))
