"""Where a training starts that does not start from nothing: the weights of another model (fine-tuning)."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.places import Places
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.promotion import model_in_use
from fer_core.store.runs import open_run

if TYPE_CHECKING:
    import keras


def starting_model(init_from: str, places: Places) -> Path:
    """Returns the .h5 that `--init-from` means: a file, 'current' or a run id. Raises ArtifactError."""
    if init_from == "current":
        folder = model_in_use(places)
        if folder is None:
            raise ArtifactError(
                "There is no model in use yet.", hint="Train one first, or give --init-from a .h5 file."
            )
        return folder / "model.h5"
    path = Path(init_from)
    if path.suffix in (".h5", ".hdf5", ".keras") or path.is_file():
        if not path.is_file():
            raise ArtifactError(
                f"There is no model file {path}.", hint="--init-from takes a .h5, a run id or 'current'."
            )
        return path
    run = open_run(places, init_from)
    if not run.model_h5.is_file():
        raise ArtifactError(f"Run {run.id} has no model yet ({run.state.status}).", hint="Take a finished run.")
    return run.model_h5


def fixed_start(init_from: str | None, places: Places) -> str | None:
    """Returns `init_from` so that a resumed run starts from the same: a run id, or the whole path of a file."""
    is_run = init_from is None or (places.models / "runs" / init_from).is_dir()
    return init_from if is_run else str(starting_model(init_from, places).resolve())


def start_from(network: "keras.Model", path: Path, labels: tuple[str, ...]) -> str:
    """Copies the weights of a saved model into `network` and returns a sentence that says what was taken.

    The last layer is taken only if it is known to have the same labels in the same order.

    Raises:
        ArtifactError: if the saved model is of another architecture.
    """
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    with_head = manifest is not None and manifest.labels == labels
    theirs, ours = load_model(path).weights, network.weights
    head = 0 if with_head else len(network.layers[-1].weights)
    their_head = 0 if with_head else len(ours) - head
    _check_shapes(path, [w.shape for w in theirs[: their_head or None]], [w.shape for w in ours[: len(ours) - head]])
    for mine, weight in zip(ours[: len(ours) - head], theirs, strict=False):
        mine.assign(weight)
    part = "all layers" if with_head else "all layers but the last (its labels are others, or not known)"
    return f"Started from {path}: {part}."


def freeze_all_but_head(network: "keras.Model", config: TrainConfig) -> None:
    """Leaves only the last layer trainable where `train_layers` is 'head'."""
    for layer in network.layers[:-1]:
        layer.trainable = config.train_layers == "all"


def _check_shapes(path: Path, theirs: list, ours: list) -> None:
    if theirs != ours:
        place = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), None)
        found = (
            f"weight {place + 1} is {theirs[place]}, not {ours[place]}"
            if place is not None
            else "another number of layers"
        )
        raise ArtifactError(
            f"{path} is of another architecture: {found}.",
            hint="Give the --network and --network-options that it was trained with.",
        )
