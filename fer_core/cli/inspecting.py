"""What is done with a model beside reading faces: `--analyze`, `--explain` and `--list-layers`.

An analysis is saved with the run, and only printed again while nothing has changed. To explain uses Keras.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from fer_core import faces
from fer_core.cli.command_line import Output, say, send_native_messages_to
from fer_core.cli.live import LiveRequest
from fer_core.cli.report import print_analysis, print_robustness, print_scores
from fer_core.data.face_picture import gray
from fer_core.errors import ArtifactError, DatasetError, FerError, SourceError
from fer_core.evaluation.analysis import ANSWERS, Analysis, analyse, analysis_folder, saved_analysis
from fer_core.evaluation.analysis_data import data_for
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.predict import NEEDED, class_numbers, over_views, predict_side_by_side
from fer_core.live.classifier import face_input, face_pictures, found_faces, make_classifier
from fer_core.live.loop import WAIT_SECONDS
from fer_core.live.output import make_folder
from fer_core.live.sources import open_source
from fer_core.resources import available_cores
from fer_core.store.artifacts import load_model
from fer_core.store.files import read_json, utc_now, write_atomically
from fer_core.store.model_files import ModelFiles

if TYPE_CHECKING:
    import keras

    from fer_core.data.dataset import Dataset


def analyse_or_fail(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the saved one where the images are not there. Raises FerError for neither."""
    if reason := _print_analysis(console, model, request):
        raise DatasetError(reason, hint=f"{NEEDED} For example: --analyze --data archive.zip")


def analyse_if_possible(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the saved one, or else the scores that the model came with, and says why.

    Raises FerError only where --data was given.
    """
    try:
        reason = _print_analysis(console, model, request)
        if not reason:
            return
    except FerError as error:
        if request.settings.data is not None:
            raise
        say(console, " ".join(filter(None, ("There is no new analysis.", str(error), error.hint))))
        reason = ""
        if _print_saved(console, model, request):
            return
    _print_own_scores(console, model)
    if reason:
        say(console, f"{reason} {NEEDED}")


def _print_analysis(console: Console, model: ModelFiles, request: LiveRequest) -> str:
    """Prints the analysis, or the saved one where the images are not there; returns why there is neither, or ''."""
    views, are_faces = request.settings.views, request.settings.faces == "given"
    with console.status("Looking at the test images …") as status:
        dataset, reason = data_for(
            model,
            request.settings.data,
            request.paths,
            are_faces=are_faces,
            label_map=request.settings.label_map,
            votes=request.settings.votes,
            report=status.update,
        )
    if dataset is None:
        return "" if _print_saved(console, model, request) else reason
    for sentence in dataset.contents.report.sentences():
        say(console, sentence)
    folder = _analysis_folder(model, request, dataset.split_fingerprint)
    analysis = _saved(model, folder, (dataset.fingerprint, dataset.split_fingerprint), views)
    if analysis is None or not (folder / ANSWERS).is_file():
        classifiers = [over_views(classify, views) for classify in _classifiers(console, model, request)]
        with console.status("Asking the model about the test images …"):
            probabilities = partial(predict_side_by_side, classifiers)
            analysis = analyse(model, dataset, probabilities=probabilities, folder=folder, views=views)
    print_analysis(console, analysis, folder=folder)
    if request.settings.robustness:
        _print_robustness(console, model, dataset, request, folder)
    return ""


def _print_robustness(
    console: Console, model: ModelFiles, dataset: "Dataset", request: LiveRequest, folder: Path
) -> None:
    from fer_core.evaluation.robustness import robustness

    detectors = [faces.make_detector("haar", paths=request.paths)]
    with contextlib.suppress(ArtifactError):  # its file is not here
        options = {"model_file": request.settings.detector_model, "may_download": False}
        detectors.append(faces.make_detector("yunet", paths=request.paths, **options))
    views = request.settings.views
    classifiers = [over_views(classify, views) for classify in _classifiers(console, model, request)]
    truth = class_numbers(model.labels, dataset.labels)[dataset.test.labels]
    with console.status("Asking the model about changed test images …"):
        table = robustness(classifiers, dataset.test, truth, detectors)
    print_robustness(console, table)
    path = folder / "robustness.csv"
    write_atomically(path, table.round(5).to_csv(index=False))
    say(console, f"Written: {path}")


def _print_saved(console: Console, model: ModelFiles, request: LiveRequest) -> bool:
    """Prints what was saved for the images that the model's manifest names; returns whether there is any."""
    manifest = model.manifest
    if manifest is None or manifest.data_fingerprint is None:
        return False
    folder, fingerprints = _analysis_folder(model, request), (manifest.data_fingerprint, manifest.split_fingerprint)
    analysis = _saved(model, folder, fingerprints, request.settings.views)
    if analysis is not None:
        print_analysis(console, analysis, folder=folder)
    return analysis is not None


def _analysis_folder(model: ModelFiles, request: LiveRequest, split_fingerprint: str | None = None) -> Path:
    settings = request.settings
    kind = {"views": settings.views, "int8": settings.runtime == "int8", "prior": settings.prior}
    return analysis_folder(model, request.paths, split_fingerprint=split_fingerprint, **kind)


def _saved(model: ModelFiles, folder: Path, fingerprints: tuple[str | None, str | None], views: int) -> Analysis | None:
    data, split = fingerprints
    own = {"model_sha256": model.sha256, "labels": model.labels, "pixels": model.pixels}
    return saved_analysis(folder, data_fingerprint=data, split_fingerprint=split, views=views, **own)


def _classifiers(console: Console, model: ModelFiles, request: LiveRequest) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Returns one for each core: LiteRT runs on one, Keras on all by itself."""
    runtime = request.settings.runtime
    # Uncalibrated: the analysis fits the temperature itself.
    bare, how = dataclasses.replace(model, temperature=1.0), {"runtime": runtime, "prior": request.settings.prior}
    make = partial(make_classifier, bare, request.paths, **how)
    # The first one reports a conversion and the like; the others find it done.
    first = make(report=partial(say, console))
    others = 0 if runtime == "keras" else available_cores() - 1
    return [classifier.classify for classifier in (first, *(make() for _ in range(others)))]


def _print_own_scores(console: Console, model: ModelFiles) -> None:
    """Where scores lie beside the model."""
    if model.run_folder is None:
        return
    try:
        evaluation = Evaluation.from_json(read_json(model.run_folder / "evaluation.json", "scores"))
    except ArtifactError:
        return
    print_scores(console, evaluation)
    say(console, f"\n{model.name} was scored like this when it was trained. {evaluation.chosen_on}")


def list_layers(model: ModelFiles, request: LiveRequest) -> None:
    """Prints the layers that have feature maps, and which of them are shown where none is named."""
    console = _console(request)
    network = _loaded(console, model)
    from fer_core.evaluation.explain import default_layer, default_maps_layer, map_layers

    defaults = {"maps": default_maps_layer(network), "Grad-CAM": default_layer(network)}
    for layer in map_layers(network):
        size, maps = f"{layer.height} x {layer.width}", "1 map" if layer.maps == 1 else f"{layer.maps} maps"
        used_for = " and ".join(use for use, name in defaults.items() if name == layer.name)
        mark = f"   default for {used_for}" if used_for else ""
        say(console, f"{layer.name:<32} {layer.kind:<24} {size:>9}  {maps:>9}{mark}")


def explain_pictures(model: ModelFiles, request: LiveRequest) -> None:
    """Draws feature maps and Grad-CAM of every face, and says where. Raises SourceError, ConfigError, ArtifactError."""
    console = _console(request)
    found = _faces(console, model, request)
    if not found:
        raise SourceError(
            f"No face was found in {request.settings.explain}.",
            hint="Where the picture is a face already: --faces given. Another detector may find it: --detector yunet.",
        )
    with _folder(request) as folder:
        network = _loaded(console, model)
        for name, picture in found.items():
            say(console, _drawn(network, model, picture, path=folder / f"{name}.png", request=request))


def _drawn(network: "keras.Model", model: ModelFiles, picture: np.ndarray, *, path: Path, request: LiveRequest) -> str:
    """Writes the figure of a face, and returns a message that says what it shows and where it is."""
    from fer_core.evaluation.analysis_figures import explain_figure
    from fer_core.evaluation.explain import explain
    from fer_core.evaluation.figures import save

    explanation = explain(
        network,
        picture,
        labels=model.labels,
        temperature=model.temperature,
        pixels=model.pixels,
        layer=request.settings.layer,
        emotion=request.settings.emotion,
    )
    save(explain_figure(explanation, title=f"{path.stem}, {model.name}"), path)
    number = int(explanation.probabilities.argmax())
    predicted = f"{model.labels[number]} {explanation.probabilities[number]:.0%}"
    return f"{path.stem}: {predicted}; Grad-CAM for {explanation.emotion}: {path}"


def _console(request: LiveRequest) -> Console:
    """libpng and TensorFlow report on file descriptor 2 what they find; errors still come as exceptions."""
    send_native_messages_to(Path(os.devnull))
    return Output(stderr=request.settings.json_lines)


def _loaded(console: Console, model: ModelFiles) -> "keras.Model":
    with console.status("Loading the model …"):
        return load_model(model.model)


@contextlib.contextmanager
def _folder(request: LiveRequest) -> Iterator[Path]:
    """Yields the folder of the figures; one that was made for them and stays empty, since an error came, is removed."""
    folder = request.settings.folder or request.paths.models / "explanations" / f"{utc_now():%Y%m%d-%H%M%S}"
    is_new = not folder.exists()
    make_folder(folder)
    try:
        yield folder
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _faces(console: Console, model: ModelFiles, request: LiveRequest) -> dict[str, np.ndarray]:
    """Returns every face in the pictures by its name; says which pictures have none, and which cannot be read.

    A face is what the network sees: uint8 (side, side, channels).
    """
    found: dict[str, np.ndarray] = {}
    with contextlib.closing(open_source(str(request.settings.explain))) as source:
        if not source.is_still:
            hint = "--explain takes a picture or a folder of pictures."
            raise SourceError(f"{source.title} is no picture.", hint=hint)
        cut = _cut(model, request)
        while not source.ended:
            frame = source.read(WAIT_SECONDS)
            if frame is None:
                continue
            pictures = cut(frame.picture_bgr)
            if not len(pictures):
                say(console, f"{frame.name}: no face")
            for place, picture in enumerate(pictures, start=1):
                name = Path(frame.name).stem + (f"_face{place}" if len(pictures) > 1 else "")
                found[_free_name(name, found)] = picture
        for problem in source.skipped:
            say(console, f"Skipped: {problem}")
    return found


def _cut(model: ModelFiles, request: LiveRequest) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """Returns what cuts the faces, as the network sees them, out of a picture, uint8 BGR (height, width, 3).

    Raises FerError where the detector cannot be had.
    """
    settings = request.settings
    if settings.faces == "given":
        return lambda picture_bgr: [face_input(picture_bgr, model)]
    detector = faces.make_detector(
        settings.detector,
        paths=request.paths,
        model_file=settings.detector_model,
        width=settings.detection_width or faces.PHOTO_WIDTH,
    )

    def cut(picture_bgr: np.ndarray) -> Sequence[np.ndarray]:
        picture_gray = gray(picture_bgr)
        found = found_faces(picture_bgr, picture_gray, detector, model)
        seen = picture_gray if model.colours == "gray" else picture_bgr
        return face_pictures(seen, found, detector, model) if found else []

    return cut


def _free_name(name: str, taken: dict[str, np.ndarray]) -> str:
    """Returns the name, with _2, _3 … behind it if it is taken. Not all disks tell A.png from a.png."""
    names, number = {one.casefold() for one in taken}, 1
    free = name
    while free.casefold() in names:
        number += 1
        free = f"{name}_{number}"
    return free
