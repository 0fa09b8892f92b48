"""An ensemble: finished runs whose answers are averaged, as one stock Keras model in a run of its own.

It is scored, calibrated, exported and promoted like any other run, and opens wherever its members do. Imports Keras.
"""

from collections.abc import Sequence

import keras

from fer_core.data.dataset import Dataset
from fer_core.evaluation.metrics import Evaluation
from fer_core.paths import Paths
from fer_core.store.artifacts import load_model
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.checkpoint import Progress
from fer_core.training.finish import finish
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.lifecycle import lifecycle
from fer_core.training.record import check_same_data, record_data
from fer_core.training.report import Report, ignore


def begin_ensemble(members: Sequence[Run], dataset: Dataset, paths: Paths, *, promote: bool) -> Run:
    """Returns a new run for the ensemble, with the settings of its first member. Raises DatasetError for other data."""
    hint = "Put the old images back: a member may have been trained on what is a test image now."
    check_same_data(members[0].manifest, dataset, hint=hint)
    config, ids = members[0].manifest.config, tuple(run.id for run in members)
    made = {"recipe": "ensemble", "kind": "ensemble", "members": ids, "history_header": HISTORY_HEADER}
    run = create_run(paths, config, promote=promote, **made)
    record_data(run, dataset)
    return run


def finish_ensemble(run: Run, members: Sequence[Run], dataset: Dataset, *, report: Report = ignore) -> Evaluation:
    """Averages the members into one model, scores it on test and saves it; nothing is trained."""
    with run.hold(), lifecycle(run, report) as told:
        model = averaged([load_model(member.model_h5) for member in members])
        chosen = chosen_by_members(members, dataset)
        return finish(run, model, dataset, progress=Progress(), chosen=chosen, told=told)


def chosen_by_members(members: Sequence[Run], dataset: Dataset) -> str:
    """Returns sentences: which images chose what in each member, and in the ensemble itself."""
    part = dataset.validation
    own = f"{part.name} ({len(part):,} images)" if part is not None else "no images: it stays 1"
    said = [f"{member.id}: {(member.manifest.scores or {}).get('chosen_on', 'not known.')}" for member in members]
    return f"The ensemble's temperature was chosen on {own}. Of its members, {' '.join(said)}"


def averaged(models: Sequence[keras.Model]) -> keras.Model:
    """Returns one model that gives the mean of the models' probabilities, in stock layers."""
    pixels = keras.Input(models[0].input_shape[1:], name="pixels")
    for number, model in enumerate(models):
        model.name = f"member_{number + 1}"
    return keras.Model(pixels, keras.layers.MovingAverage(name="probabilities")([model(pixels) for model in models]))
