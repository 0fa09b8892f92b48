"""`--explain`: what a model looks at in a face, drawn. Uses Keras, which takes seconds to load."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from fer_core import faces
from fer_core.cli.live_arguments import LiveRequest
from fer_core.cli.output import say, send_native_messages_to
from fer_core.data.face_picture import gray, network_input
from fer_core.errors import SourceError
from fer_core.live.frame import Frame, Source
from fer_core.live.loop import WAIT_SECONDS
from fer_core.live.output_path import make_folder
from fer_core.live.predicting import PHOTO_WIDTH
from fer_core.live.predictor import face_pictures
from fer_core.live.sources import open_source
from fer_core.store.artifacts import load_model
from fer_core.store.clock import utc_now
from fer_core.store.model_files import ModelFiles

if TYPE_CHECKING:
    import keras

Cut = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Takes a picture, uint8 BGR (height, width, 3), and gives what the network sees of each face in it."""


class _Face(NamedTuple):
    """The name of a figure, and what the network sees: uint8 (side, side, channels)."""

    name: str
    picture: np.ndarray


def list_layers(model: ModelFiles, request: LiveRequest) -> None:
    """Prints the layers that have feature maps, and which of them are shown where none is named."""
    console = _console(request)
    network = _quietly_loaded(console, model)
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
        network = _quietly_loaded(console, model)
        for face in found:
            say(console, _drawn(network, model, face, request=request, folder=folder))


def _drawn(network: "keras.Model", model: ModelFiles, face: _Face, *, request: LiveRequest, folder: Path) -> str:
    """Writes the figure of a face, and returns a sentence that says what it shows and where it is."""
    from fer_core.evaluation.analysis_figures import explain_figure
    from fer_core.evaluation.explain import explain
    from fer_core.evaluation.figures import save

    explanation = explain(
        network,
        face.picture,
        labels=model.labels,
        temperature=model.temperature,
        pixels=model.pixels,
        layer=request.settings.layer,
        emotion=request.settings.emotion,
    )
    path = folder / f"{face.name}.png"
    save(explain_figure(explanation, title=f"{face.name}, {model.name}"), path)
    number = int(explanation.probabilities.argmax())
    said = f"{model.labels[number]} {explanation.probabilities[number]:.0%}"
    return f"{face.name}: {said}; Grad-CAM for {explanation.emotion}: {path}"


def _console(request: LiveRequest) -> Console:
    """libpng and TensorFlow report on file descriptor 2 what they find; errors still come as exceptions."""
    send_native_messages_to(Path(os.devnull))
    return Console(stderr=request.settings.json_lines)


def _quietly_loaded(console: Console, model: ModelFiles) -> "keras.Model":
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


def _faces(console: Console, model: ModelFiles, request: LiveRequest) -> list[_Face]:
    """Returns every face in the pictures; says which pictures have none, and which cannot be read."""
    found: list[_Face] = []
    taken: set[str] = set()
    with contextlib.closing(open_source(str(request.settings.explain))) as source:
        _check_is_still(source)
        cut = _cut(model, request)
        for frame in _frames(source):
            pictures = cut(frame.picture_bgr)
            if not len(pictures):
                say(console, f"{frame.name}: no face")
            for place, picture in enumerate(pictures, start=1):
                name = Path(frame.name).stem + (f"_face{place}" if len(pictures) > 1 else "")
                found.append(_Face(_free_name(name, taken), picture))
        for problem in source.skipped:
            say(console, f"Skipped: {problem}")
    return found


def _check_is_still(source: Source) -> None:
    if not source.is_still:
        raise SourceError(f"{source.title} is no picture.", hint="--explain takes a picture or a folder of pictures.")


def _frames(source: Source) -> Iterator[Frame]:
    while not source.ended:
        frame = source.read(WAIT_SECONDS)
        if frame is not None:
            yield frame


def _cut(model: ModelFiles, request: LiveRequest) -> Cut:
    """Returns what cuts the faces out of a picture. Raises FerError where the detector cannot be had."""
    settings = request.settings
    if settings.faces == "given":
        return lambda picture_bgr: [network_input(picture_bgr, side=model.side, channels=model.channels)]
    detector = faces.make_detector(
        settings.detector,
        paths=request.paths,
        model_file=settings.detector_model,
        width=settings.detection_width or PHOTO_WIDTH,
    )

    def cut(picture_bgr: np.ndarray) -> Sequence[np.ndarray]:
        boxes = [face.box for face in detector.find(picture_bgr)]
        return face_pictures(gray(picture_bgr), boxes, detector, model) if boxes else []

    return cut


def _free_name(name: str, taken: set[str]) -> str:
    """Returns the name, with _2, _3 … behind it if it is taken, and takes it. Not all disks tell A.png from a.png."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.casefold())
    return free
