"""An ensemble: finished runs whose predictions are averaged, as one stock Keras model in a run of its own.

It is scored, calibrated, exported and promoted like any other run, and opens wherever its members do. Keras is imported
where the members are averaged, to refuse before.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.metrics import Evaluation
from fer_core.paths import Paths
from fer_core.store.artifacts import load_model
from fer_core.store.run import Run
from fer_core.store.runs import create_run, open_run
from fer_core.training.checkpoint import Progress
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.report import Report, ignore, reporting
from fer_core.training.train import check_same_data, record_data

if TYPE_CHECKING:
    import keras


def finished_members(names: Sequence[str], paths: Paths) -> list[Run]:
    """Returns the runs of an ensemble.

    Raises:
        ArtifactError: there are fewer than two, one is not finished, or they differ in labels, input or split.
    """
    members = [open_run(paths, name) for name in names]
    if len({run.id for run in members}) < max(2, len(members)):
        raise ArtifactError("An ensemble needs at least two different runs.", hint="Give --ensemble RUN RUN ….")
    for run in members:
        if run.state.status != "SUCCEEDED":
            raise ArtifactError(f"Run {run.id} is not finished.", hint=f"Finish it: --resume {run.id}.")
        for name in ("labels", "side", "channels", "split_fingerprint"):
            if getattr(run.manifest, name) != getattr(members[0].manifest, name):
                raise ArtifactError(
                    f"Runs {members[0].id} and {run.id} differ in {name.replace('_', ' ')}.",
                    hint="They need the same classes, input and data; train several seeds with --validation none.",
                )
    return members


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
    from fer_core.training.finish import finish

    part = dataset.validation
    own = f"{part.name} ({len(part):,} images)" if part is not None else "no images: it stays 1"
    each = [f"{member.id}: {(member.manifest.scores or {}).get('chosen_on', 'not known.')}" for member in members]
    chosen = f"The ensemble's temperature was chosen on {own}. Of its members, {' '.join(each)}"
    with run.hold(), reporting(run, report) as run_report:
        model = averaged([load_model(member.model_h5) for member in members])
        return finish(run, model, dataset, progress=Progress(), chosen=chosen, report=run_report)


def averaged(models: Sequence["keras.Model"]) -> "keras.Model":
    """Returns one model that gives the mean of the models' probabilities, in stock layers."""
    import keras

    pixels = keras.Input(models[0].input_shape[1:], name="pixels")
    for number, model in enumerate(models):
        model.name = f"member_{number + 1}"
    return keras.Model(pixels, keras.layers.Average(name="probabilities")([model(pixels) for model in models]))
