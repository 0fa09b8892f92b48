"""Which runs can be averaged into an ensemble. Without Keras, to refuse before it is imported."""

from collections.abc import Sequence

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.store.runs import open_run

FEWEST = 2


def check_is_no_ensemble(run: Run) -> None:
    """Raises ArtifactError for an ensemble: it has nothing to train, and is made anew where it was cut off."""
    members = run.manifest.members
    if members:
        raise ArtifactError(
            f"Run {run.id} is an ensemble that was not finished: it is not trained.",
            hint=f"Make it again: --ensemble {' '.join(members)}",
        )


def finished_members(names: Sequence[str], paths: Paths) -> list[Run]:
    """Returns the runs of an ensemble.

    Raises:
        ArtifactError: there are fewer than two, one is not finished, or they differ in labels, input or split.
    """
    members = [open_run(paths, name) for name in names]
    if len({run.id for run in members}) < max(FEWEST, len(members)):
        raise ArtifactError("An ensemble needs at least two different runs.", hint="Give --ensemble RUN RUN ….")
    for run in members:
        if run.state.status != "SUCCEEDED":
            raise ArtifactError(f"Run {run.id} is not finished.", hint=f"Finish it: --resume {run.id}.")
        for fact in ("labels", "side", "channels", "split_fingerprint"):
            if getattr(run.manifest, fact) != getattr(members[0].manifest, fact):
                raise ArtifactError(
                    f"Runs {members[0].id} and {run.id} differ in {fact.replace('_', ' ')}.",
                    hint="They need the same classes, input and data; train several seeds with --validation none.",
                )
    return members
