"""What a model must be to tell emotions from faces: square pictures in, and a label for each output."""

from pathlib import Path

from fer_core.errors import ArtifactError
from fer_core.store.model_metadata import ModelMetadata

_LABELS_BESIDE = ("{}_labels.json", "emotion_labels.json", "labels.json")


def labels_beside(path: Path) -> Path:
    """Returns the file with the labels of a model that does not know them. Raises ArtifactError if there is none."""
    names = [pattern.format(path.stem) for pattern in _LABELS_BESIDE]
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise ArtifactError(
        f"{path} has no labels: no manifest is in it, and beside it is no {', no '.join(names)}.",
        hint='Give --labels FILE, a JSON like {"0": "angry", "1": "disgust"} in the order of the outputs.',
    )


def picture_of(path: Path, metadata: ModelMetadata) -> tuple[int, int]:
    """Returns side and channels of a model's input. Raises ArtifactError if it takes no square pictures."""
    match metadata.input_shape:
        case (int(height), int(width), 1 | 3 as channels) if height == width:
            return width, channels
    raise ArtifactError(
        f"{path} takes no square pictures with 1 or 3 channels, but {metadata.input_shape}.",
        hint="Faces are given to a model as (side, side, 1) or (side, side, 3).",
    )


def check_labels(path: Path, labels: tuple[str, ...], *, outputs: int | None) -> None:
    """Raises ArtifactError if labels are not one for each output; `outputs` None: not known yet."""
    if outputs not in (None, len(labels)):
        raise ArtifactError(
            f"{path} and its labels are of two models: {len(labels)} labels, the model has {outputs} outputs.",
            hint="Give the labels that it was trained with, in their order: --labels FILE.",
        )
    if len(set(labels)) < len(labels):
        raise ArtifactError(
            f"A label of {path} is there twice: {', '.join(labels)}.",
            hint="Give labels of which each is another one, in the order of the outputs: --labels FILE.",
        )
