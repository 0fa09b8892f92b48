"""Fine-tuning: the weights of another model, where a training starts from them, and the stages of a training.

There is one stage, or with `fine_tune` two, which train other layers at other rates. A stage has an optimizer of its
own; what else changes from epoch to epoch goes on through all of them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.paths import Paths, shipped_folder
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.promotion import model_in_use
from fer_core.store.runs import open_run

if TYPE_CHECKING:
    import keras


def starting_model(name: str, paths: Paths, *, flag: str = "--init-from") -> Path:
    """Returns the .h5 that `flag` means: a file, a run id, 'current', or a model that comes with the project, by name.

    Raises ArtifactError that names the flag.
    """
    folder = model_in_use(paths) if name == "current" else shipped_folder(name)
    if folder is not None:
        return folder / "model.h5"
    if name == "current":
        raise ArtifactError("There is no model in use yet.", hint=f"Train one first, or give {flag} a .h5 file.")
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix in (".h5", ".hdf5", ".keras"):
        raise ArtifactError(f"There is no model file {path}.", hint=f"{flag} takes a .h5, a run id or 'current'.")
    run = open_run(paths, name)
    if not run.model_h5.is_file():
        raise ArtifactError(f"Run {run.id} has no model yet ({run.state.status}).", hint="Take a finished run.")
    return run.model_h5


def network_of(name: str, paths: Paths) -> dict[str, Any]:
    """Returns the settings of the network that a model has, where it says so: for fine-tuning. Raises ArtifactError."""
    path = starting_model(name, paths)
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    if manifest is None:
        return {}
    own = {field: getattr(manifest.config, field) for field in ("network", "network_options")}
    return own | {"image_size": manifest.side}


def with_fixed_models(config: TrainConfig, paths: Paths) -> TrainConfig:
    """Returns the settings with other models named so that a resumed run has the same ones, whatever is in use then.

    Raises ArtifactError for a starting model or a teacher that is not there.
    """
    start = config.init_from and _fixed(config.init_from, paths)
    teachers_by_id = tuple(_fixed(name, paths, flag="--teacher") for name in config.teacher)
    return config.model_copy(update={"init_from": start, "teacher": teachers_by_id})


def _fixed(name: str, paths: Paths, *, flag: str = "--init-from") -> str:
    """Returns a run id, or the whole path of a file. Raises ArtifactError."""
    runs = paths.models / "runs"
    if (runs / name).is_dir():
        return name
    path = starting_model(name, paths, flag=flag).resolve()
    return path.parent.name if name == "current" and path.parent.parent == runs.resolve() else str(path)


def start_from(network: "keras.Model", path: Path, labels: tuple[str, ...]) -> str:
    """Copies the weights of a saved model into `network` and returns a message that says what was taken.

    The last layer is taken only if it is known to have the same labels in the same order.

    Raises:
        ArtifactError: if the saved model is of another architecture.
    """
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    with_head = manifest is not None and manifest.labels == labels
    head = 0 if with_head else len(network.layers[-1].weights)
    theirs, ours = load_model(path).weights, network.weights[: len(network.weights) - head]
    theirs = theirs if with_head else theirs[: len(ours)]
    shapes = [(their.shape, our.shape) for their, our in zip(theirs, ours, strict=False)]
    if len(theirs) != len(ours) or any(their != our for their, our in shapes):
        unlike = (f"weight {n} is {their}, not {our}" for n, (their, our) in enumerate(shapes, 1) if their != our)
        raise ArtifactError(
            f"{path} is of another architecture: {next(unlike, 'another number of layers')}.",
            hint="Give the --network and --network-options that it was trained with.",
        )
    for our, their in zip(ours, theirs, strict=True):
        our.assign(their)
    part = "all layers" if with_head else "all layers but the last (its labels are others, or not known)"
    return f"Started from {short_name(path)}: {part}."


def short_name(path: Path) -> str:
    """Returns how a model is named where its folder is nobody's business: by its run, or by its file."""
    return path.parent.name if path.name == "model.h5" else path.name


class Stage(NamedTuple):
    """Consecutive epochs with one optimizer."""

    last_epoch: int
    config: TrainConfig
    """What the optimizer and its schedule see: epochs and learning rate are those of the stage."""
    part: float = 1.0
    """Of the layers, counted from the last; 0: the last one alone."""

    def sentence(self, config: TrainConfig) -> str:
        """Returns what begins, for people; '' where there are no stages."""
        if not config.fine_tune:
            return ""
        if not self.part:
            return f"Until epoch {self.last_epoch}, the last layer alone is trained."
        part = "all layers are" if self.part == 1 else f"the last {self.part:.0%} of the layers are"
        return f"From now on {part} trained, at a learning rate of {self.config.learning_rate:g}."


def stages(config: TrainConfig) -> tuple[Stage, ...]:
    """Returns the stages, in their order."""
    if not config.fine_tune:
        return (Stage(config.epochs, config),)
    epochs, rate = max(config.epochs - config.head_epochs, 1), config.learning_rate * config.unfreeze_rate
    first = {"epochs": config.head_epochs, "schedule": "constant", "warmup_epochs": 0.0}
    second = {"epochs": epochs, "learning_rate": rate, "warmup_epochs": min(config.warmup_epochs, epochs / 2)}
    return (
        Stage(config.head_epochs, config.model_copy(update=first), 0.0),
        Stage(config.epochs, config.model_copy(update=second), config.unfreeze),
    )


def choose_layers(network: "keras.Model", config: TrainConfig, stage: Stage) -> None:
    """Makes the stage's layers of the training model trainable, and no others.

    The statistics of BatchNorm come from far more pictures than are fine-tuned on: they stay, and it is not trained.
    """
    if not config.fine_tune:
        return
    import keras

    *body, head = network.layers
    body = [layer for layer in body if layer.weights]
    frozen = len(body) - round(stage.part * len(body))
    for place, layer in enumerate(body):
        layer.trainable = place >= frozen and not isinstance(layer, keras.layers.BatchNormalization)
    head.trainable = True
