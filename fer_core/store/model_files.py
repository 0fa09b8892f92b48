"""Finding the model to use, with all that must be known to use it: labels, input, calibration, framing. No Keras.

Our own models know it themselves; for a model from elsewhere the labels are looked for beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ArtifactError
from fer_core.labels import normalized
from fer_core.paths import Paths, came_with_the_project, run_name, shipped_folder
from fer_core.store.architecture import MODEL_SUFFIXES, Colours, ModelMetadata, PixelRange, is_onnx, metadata_of
from fer_core.store.artifacts import network_apart, read_h5_manifest
from fer_core.store.export import can_export, export_in_child
from fer_core.store.files import file_sha256, read_json, sweep, write_json
from fer_core.store.foreign import LABELS_BESIDE, read_labels, weights_beside
from fer_core.store.inspection import inspect_apart, is_archive
from fer_core.store.manifest import Int8Metadata, LiteRTMetadata, Manifest, checked
from fer_core.store.promotion import model_in_use
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.store.runtimes import ONNXModel, check_litert

INT8 = "model_int8.tflite"
_NOT_SCALED = (
    " Nothing in it scales the grey values, so it gets them as they are, 0..255;"
    " if it was trained on scaled ones, add --pixels 0..1 (or -1..1)."
)
_GIVE = "Give a run's id or folder, or the path of a .h5, .keras or .onnx."
_TRUST = "If you trust who made it, copy its folder into {0.models}/runs."
_COLOURS = {
    "rgb": " It takes three colours, and gets red, green, blue; where it was trained otherwise: --colours bgr or gray.",
    "bgr": " It takes three colours, and gets blue, green, red.",
    "gray": " It takes three colours, and gets the same gray three times.",
}


def ignore(text: str) -> None:
    """Takes a message and shows it nowhere."""


@dataclass(frozen=True)
class ModelFiles:
    """A model that can be used, and what must be known of it."""

    name: str
    """A run's id, shipped/best, or the file's name."""
    model: Path
    """The .h5, .keras or .onnx."""
    run_folder: Path | None
    labels: tuple[str, ...]
    """In the order of the outputs."""
    side: int
    channels: int
    temperature: float = 1.0
    divided_by: tuple[float, ...] | None = None
    """What each label's probability is divided by, before the temperature; None: by nothing."""
    framing: Mapping[str, Mapping[str, float]] | None = None
    """By detector, where the model was trained with one of its own; None: the detectors' own."""
    manifest: Manifest | None = None
    pixels: PixelRange = "0..255"
    """The grey values that it wants; ours scale them themselves."""
    colours: Colours = "gray"
    """What its three channels are; ours get the same gray three times."""
    network: Path | None = None
    """The JSON that describes the network, where the .h5 holds weights alone."""
    note: str = ""
    """A sentence worth printing, e.g. where the labels are from."""

    @cached_property
    def sha256(self) -> str:
        """Of the .h5 or .keras; of weights alone, together with that of their network."""
        own = file_sha256(self.model)
        return own if self.network is None else sha256(f"{own} {file_sha256(self.network)}".encode()).hexdigest()

    @property
    def is_aligned(self) -> bool:
        """Whether it was trained on faces turned upright, and so reads them."""
        return self.manifest is not None and self.manifest.aligned


class _Told(NamedTuple):
    """What a user says of a model that knows nothing of itself."""

    labels_file: Path | None
    pixels: PixelRange | None
    colours: Colours | None


def find_model(
    given: str | None,
    paths: Paths,
    *,
    labels_file: Path | None = None,
    pixels: PixelRange | None = None,
    colours: Colours | None = None,
) -> ModelFiles:
    """Returns the model to use: the one in use, a run's by its id or folder, or a .h5, .keras or .onnx by its path.

    A model that comes with the project is named as its folder is: `best`; ./best is a folder or file of that name.
    `labels_file`, `pixels` and `colours` (of its three channels) are for models from elsewhere. Raises ArtifactError:
    there is none, it has no labels or other labels than outputs, it does not take square pictures, or what is in the
    file is refused.
    """
    path, told = _path(given, paths), _Told(labels_file, pixels, colours)
    folder = path if path.is_dir() else path.parent
    has_manifest = (folder / "manifest.json").is_file()
    if path.is_dir() and not has_manifest:
        raise ArtifactError(f"{path} is no run's folder: it has no manifest.json.", hint="Give its .h5 or .keras.")
    if has_manifest and path in (folder, folder / "model.h5"):
        found = _of_run(folder, paths)
    else:
        found = _of_file(path, paths, told)
    if found.manifest is not None:
        _check_flags(found, told)
    return found


def litert_file(model: ModelFiles, paths: Paths, *, report: Callable[[str], None] = ignore) -> Path:
    """Returns the model's .tflite: that of a run made here where its hash is right, else one made once from the model.

    Where a run has an int8 export alone, that is it: large models that come with the project do.
    That beside a model from elsewhere may be another model, or crash whoever runs it: its hash is from elsewhere too.
    It is made in a process of its own, which takes some seconds, and kept in the cache. Raises ArtifactError.
    """
    check_litert()
    own = _own_folder(model, paths)
    if own and model.manifest and _is_whole(own / "model.tflite", model.manifest.litert):
        return own / "model.tflite"
    if own and model.manifest and model.manifest.litert is None and _is_whole(own / INT8, model.manifest.int8):
        return own / INT8
    cached = paths.cache / "litert" / f"{model.sha256}.tflite"
    if not _is_whole(cached, _cached_metadata(cached)):
        report(f"{model.name} is converted for the small runtime; this takes some seconds, once.")
        _convert(model, cached, paths)
    return cached


def int8_file(model: ModelFiles, paths: Paths) -> Path:
    """Returns the int8 export of a run made here. Raises ArtifactError where there is none, or not as it was made."""
    check_litert()
    own = _own_folder(model, paths)
    if own and model.manifest and _is_whole(own / INT8, model.manifest.int8):
        return own / INT8
    if model.run_folder and not own:
        hint = _TRUST.format(paths)
        raise ArtifactError(f"{model.name} is from elsewhere: its int8 export is not run.", hint=hint)
    raise ArtifactError(f"{model.name} has no int8 export.", hint="Train with --eight-bit, or leave --runtime out.")


def export_folder(model: ModelFiles, paths: Paths) -> Path:
    """Returns where `--export` writes the forms of a model for other programs."""
    name = model.name if model.run_folder else model.model.stem
    return paths.models / "exports" / name.removeprefix("shipped/")


def onnx_file(model: ModelFiles, paths: Paths) -> Path:
    """Returns the .onnx itself, or the one that was exported of this model. Raises ArtifactError if there is none."""
    if is_onnx(model.model):
        return model.model
    exported = export_folder(model, paths) / "model.onnx"
    if exported.is_file() and ONNXModel(exported).source_sha256() == model.sha256:
        return exported
    given = model.name.removeprefix("shipped/") if model.run_folder else model.model
    hint = f"`python train_emotion_model.py --export {given} --format onnx` makes it."
    raise ArtifactError(f"{model.name} has no ONNX export.", hint=hint)


def check_labels(path: Path, labels: tuple[str, ...], *, outputs: int | None) -> None:
    """Raises ArtifactError if labels are not one for each output; `outputs` None: not known yet."""
    if outputs not in (None, len(labels)):
        raise ArtifactError(
            f"{path} and its labels are of two models: {len(labels)} labels, the model has {outputs} outputs.",
            hint="Give the labels that it was trained with, in their order: --labels FILE.",
        )
    if len({normalized(label) for label in labels}) < len(labels):
        raise ArtifactError(
            f"A label of {path} is there twice: {', '.join(labels)}.",
            hint="Give labels of which each is another one, in the order of the outputs: --labels FILE.",
        )


def _is_ours(folder: Path, paths: Paths) -> bool:
    """What lies among the runs was trained here, or came with the project: nothing in it is foreign."""
    return folder.resolve().parent == (paths.models / "runs").resolve() or came_with_the_project(folder)


def _own_folder(model: ModelFiles, paths: Paths) -> Path | None:
    return model.run_folder if model.run_folder and _is_ours(model.run_folder, paths) else None


def _is_whole(path: Path, metadata: LiteRTMetadata | Int8Metadata | None) -> bool:
    return metadata is not None and path.is_file() and file_sha256(path) == metadata.sha256


def _cached_metadata(cached: Path) -> LiteRTMetadata | None:
    what = "metadata of a cached conversion"
    try:
        return checked(LiteRTMetadata, read_json(cached.with_suffix(".json"), what), otherwise=what)
    except ArtifactError:
        return None


def _convert(model: ModelFiles, cached: Path, paths: Paths) -> None:
    """Two processes may do so at once: each puts a whole file in place."""
    if not can_export():
        own_export = f" {_TRUST.format(paths)}" if model.run_folder and model.manifest else ""
        raise ArtifactError(
            f"{model.name} has no LiteRT form yet, and TensorFlow, which makes it, is not installed here.",
            hint=f"`--runtime keras` does without it.{own_export}",
        )
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        sweep(cached.parent)
        metadata = export_in_child(model.model, cached, pixels=model.pixels)
        write_json(cached.with_suffix(".json"), metadata.model_dump())
    except OSError as error:
        raise ArtifactError(
            f"The converted model cannot be kept in {cached.parent}: {error.strerror}.",
            hint="Set $FER_CACHE_DIR to a folder that can be written to.",
        ) from error


def _path(given: str | None, paths: Paths) -> Path:
    if given is None:
        folder = model_in_use(paths)
        if folder is None:
            raise ArtifactError(
                f"There is no model in {paths.models}.",
                hint="`python train_emotion_model.py --data sample` trains one in a minute; --model takes another.",
            )
        return folder
    if (shipped := shipped_folder(given)) is not None:
        return shipped
    path = Path(given)
    if path.is_dir() or path.suffix.lower() in MODEL_SUFFIXES:
        return path
    if path.suffix.lower() == ".json" and path.is_file():
        return weights_beside(path)
    if path.exists() or len(path.parts) != 1:
        suffixes = ", ".join(MODEL_SUFFIXES)
        raise ArtifactError(
            f"{given} is no model: it is no run's folder, and ends in none of {suffixes}.",
            hint="Unpack it, and give the .h5 in it." if path.suffix == ".zip" else _GIVE,
        )
    return open_run(paths, given).folder


def _of_run(folder: Path, paths: Paths) -> ModelFiles:
    run = Run(folder.absolute(), paths.history)
    manifest = run.manifest
    if not run.model_h5.is_file():
        raise ArtifactError(
            f"Run {run.id} has no model yet: {run.model_h5} is missing.",
            hint=f"`python train_emotion_model.py --resume {run.id}` goes on with it.",
        )
    if _is_ours(folder, paths) and run.architecture_json.is_file():
        description = read_json(run.architecture_json, f"architecture of run {run.id}")
        metadata = metadata_of(description, where=str(run.architecture_json))
    else:
        metadata = inspect_apart(run.model_h5)
    return _with_manifest(run_name(run.folder), run.model_h5, manifest, metadata, run_folder=run.folder)


def _of_file(path: Path, paths: Paths, told: _Told) -> ModelFiles:
    if is_onnx(path):
        return _of_onnx(path, told)
    metadata = inspect_apart(path)
    manifest = None if is_archive(path) else read_h5_manifest(path)
    if manifest is None:
        return _without_manifest(path, metadata, told)
    copied = paths.models / "runs" / manifest.run_id
    is_whole = (copied / "manifest.json").is_file() and (copied / "model.h5").is_file()
    if is_whole and file_sha256(copied / "model.h5") == file_sha256(path):
        return _of_run(copied, paths)  # where the model's LiteRT form and analysis are
    return _with_manifest(path.name, path, manifest, metadata)


def _of_onnx(path: Path, told: _Told) -> ModelFiles:
    model = ONNXModel(path)
    metadata = ModelMetadata(model.input_shape, model.outputs, has_scaling=False)
    manifest = model.manifest(where=f"The manifest in {path}")
    if manifest is None:
        return _without_manifest(path, metadata, told)
    return _with_manifest(path.name, path, manifest, metadata)


def _with_manifest(
    name: str, model: Path, manifest: Manifest, metadata: ModelMetadata, *, run_folder: Path | None = None
) -> ModelFiles:
    side, channels = _picture_of(model, metadata)
    if manifest.labels is None or (manifest.side, manifest.channels) != (side, channels):
        raise ArtifactError(
            f"The manifest of {model} does not fit it: the model takes ({side}, {side}, {channels}),"
            f" the manifest says ({manifest.side}, {manifest.side}, {manifest.channels}) and labels {manifest.labels}.",
            hint="Take the run's folder as it was written, or train again.",
        )
    check_labels(model, manifest.labels, outputs=metadata.outputs)
    return ModelFiles(
        name=name,
        model=model,
        run_folder=run_folder,
        labels=manifest.labels,
        side=side,
        channels=channels,
        colours=manifest.colours,
        temperature=manifest.temperature,
        framing={detector: one.model_dump() for detector, one in (manifest.framing or {}).items()} or None,
        manifest=manifest,
    )


def _without_manifest(path: Path, metadata: ModelMetadata, told: _Told) -> ModelFiles:
    side, channels = _picture_of(path, metadata)
    names = [pattern.format(path.stem) for pattern in LABELS_BESIDE]
    file = told.labels_file or next(filter(Path.is_file, map(path.with_name, names)), None)
    if file is None:
        raise ArtifactError(
            f"{path} has no labels: no manifest is in it, and beside it is no {names[0]} and no labels.json.",
            hint='Give --labels FILE: JSON like {"0": "angry", "1": "disgust"}, or a label a line, in their order.',
        )
    labels = read_labels(file)
    check_labels(path, labels, outputs=metadata.outputs)
    note = f"{path.name} has no manifest: its labels are from {file.name}."
    if not metadata.has_scaling and told.pixels is None:
        note += _NOT_SCALED
    colours = (told.colours or "rgb") if channels > 1 else "gray"
    if channels > 1:
        note += _COLOURS[colours]
    is_whole = is_onnx(path) or is_archive(path)
    own = {"network": None if is_whole else network_apart(path), "colours": colours, "note": note}
    return ModelFiles(path.name, path, None, labels, side, channels, pixels=told.pixels or "0..255", **own)


def _picture_of(path: Path, metadata: ModelMetadata) -> tuple[int, int]:
    match metadata.input_shape:
        case (int(height), int(width), 1 | 3 as channels) if height == width:
            return width, channels
    raise ArtifactError(
        f"{path} takes no square pictures with 1 or 3 channels, but {metadata.input_shape}.",
        hint="Faces are given to a model as (side, side, 1) or (side, side, 3).",
    )


def _check_flags(model: ModelFiles, told: _Told) -> None:
    if told.pixels not in (None, "0..255"):
        raise ArtifactError(
            f"{model.name} scales its pixels itself: --pixels {told.pixels} is for models from elsewhere.",
            hint="Leave --pixels out.",
        )
    if told.colours not in (None, model.colours):
        raise ArtifactError(
            f"{model.name} was trained on {model.colours}: --colours {told.colours} is for models from elsewhere.",
            hint="Leave --colours out.",
        )
    if told.labels_file is not None and read_labels(told.labels_file) != model.labels:
        raise ArtifactError(
            f"{told.labels_file} has other labels than the model, which knows its own: {', '.join(model.labels)}.",
            hint="Leave --labels out.",
        )
