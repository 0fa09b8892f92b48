"""`python realtime_emotion_detector.py`: its command line, and what it leads to: an analysis, or reading faces."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import tyro
from pydantic import Field, ValidationError
from rich.console import Console

from fer_core.cli import run_in_child
from fer_core.cli.command_line import MODELS_DIR, Output, parsed, peek, say, send_native_messages_to
from fer_core.config import Settings, config_error
from fer_core.errors import ConfigError, SourceError
from fer_core.evaluation.predict import MOST_VIEWS
from fer_core.faces import DETECT_EVERY, WIDTHS
from fer_core.paths import Paths
from fer_core.store.model_files import ModelFiles, find_model

PROGRAM = "realtime_emotion_detector.py"
DEFAULT_SOURCE = "0"


class LiveSettings(Settings):
    """What is read, with what, and where the readings go."""

    source: str | None = None
    """A camera's number, a video, a stream (http://, rtsp://), a picture or a folder of pictures. Default: camera 0."""
    model: str | None = None
    """A run id, a .h5, .keras or .onnx file, or best, tiny or ferplus, which came along. Default: the model in use."""
    labels: Path | None = None
    """The labels of a model from elsewhere: JSON, text with one a line, or csv. Default: looked for beside it."""
    pixels: Literal["0..255", "0..1", "-1..1"] | None = None
    """The grey values that a model from elsewhere was trained on. Ours scale them themselves."""
    colours: Literal["rgb", "bgr", "gray"] | None = None
    """What a model from elsewhere with three channels was trained on: colours (rgb if left out), or repeated gray."""
    runtime: Literal["litert", "int8", "onnx", "keras"] = "litert"
    """What classifies; int8 is the export with 8-bit weights that a run may have, onnx that of train_emotion_model.py
    --export, and keras is slower, for comparison."""

    output: Path | None = None
    """Write an annotated video (.mp4, .mkv, .avi, .mov); for pictures also a picture or a folder."""
    log: Path | None = None
    """Write one row per face and frame: .csv or .jsonl."""
    overwrite: bool = False
    """Replace what --output and --log name, if it is there already."""
    anonymize: Literal["none", "blur", "pixelate", "mask"] = "none"
    """Cover the faces that are found, in the window and in everything that is saved; labels stay. What is not found
    stays visible: look before you publish."""
    json_lines: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object per frame or picture; everything else goes to stderr."""
    display: bool = True
    """Show no window, and read as fast as it goes. What writes a file goes on without a screen anyway."""
    folder: Path | None = None
    """Snapshots, recordings, captures and timeline.png. Default: MODELS/live/DATE_TIME."""
    capture: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Take so many pictures, one a second, classify each, and end."""
    clip: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Then record so many seconds, classified and annotated, and end."""

    detector: str = "auto"
    """Finds faces: haar, yunet, or auto (yunet where its file is there, never downloads)."""
    detector_model: Path | None = None
    """The .onnx file of yunet. Default: $FER_YUNET, or the one that --detector yunet has downloaded."""
    detection_width: Annotated[int, Field(ge=WIDTHS[0], le=WIDTHS[1])] | None = None
    """Faces are looked for on a picture of at most this width. Default: the detector's own."""
    detect_every: Annotated[int, Field(ge=1, le=100)] = DETECT_EVERY
    """Look for faces in one of so many frames and follow them in between."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """A reading with less calibrated confidence is unsure. Default: what the model's validation images ask for."""
    prior: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far the frequencies of the emotions in training are taken out of the answers: 0 not at all, 1 all are equally
    likely. Default: as the model was saved."""
    smoothing: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Seconds after which a change has passed half its height; 0 = off."""

    study: Path | None = None
    """Read all pictures and videos of a folder, a pattern or a list (.csv) on all cores, into tables in this folder.
    Run again, it goes on with what is missing or has changed."""
    jobs: Annotated[int, Field(ge=1, le=1024)] | None = None
    """With --study: so many processes. Default: one for each core."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """With --study: read so many frames of a second of video. Default: all frames."""
    study_format: Literal["csv", "parquet"] = "csv"
    """With --study: the tables of readings (Parquet needs pyarrow)."""
    identify: bool = False
    """With --study: know people again who come back in a video, by SFace, which is downloaded once (39 MB), with yunet.
    What it makes of faces is biometric data; it is thrown away when a video is read."""
    recognizer_model: Path | None = None
    """With --identify: the .onnx file of SFace."""
    baseline: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """With --study: compare each person with the first seconds in which he or she was seen."""
    markers: Path | None = None
    """With --study: a csv of file, seconds and name; how people changed there."""
    marker_window: Annotated[float, Field(gt=0, le=3600)] = 3.0
    """With --markers: seconds before and after each that are compared."""
    coding: Path | None = None
    """With --study: a csv of file, start, end, label (and person), coded by people, to compare with."""

    analyze: bool = False
    """Analyse the model on the test images, and end."""
    data: str | None = None
    """The images to analyse with. Default: those that the model was trained on, if they are still there."""

    label_map: str | None = None
    """With --data: what its classes are read as, as in training: anger=angry,8= or a file, affectnet, … or none."""
    votes: str | None = None
    """With --data: the votes of FER+ as labels, as in training: its fer2013new.csv, ferplus or none."""
    views: Annotated[int, Field(ge=1, le=MOST_VIEWS)] = 1
    """With --analyze: average the answers to so many views of each image: itself, mirrored, moved by 2 or 3 pixels."""

    robustness: bool = False
    """With --analyze: also on the test images moved, turned, blurred, covered and so on, which takes minutes."""
    explain: Path | None = None
    """Draw the feature maps of a layer and Grad-CAM for a picture or a folder of pictures, and end."""
    layer: str | None = None
    """With --explain: the layer. Default: the last convolution for Grad-CAM, one of readable size for the maps."""
    emotion: str | None = None
    """With --explain: the emotion that Grad-CAM explains. Default: the predicted one."""
    list_layers: bool = False
    """List the layers that --layer takes, and end."""
    benchmark: bool = False
    """Measure how fast this machine reads drawn faces, and end."""
    on_change: str | None = None
    """Send JSON when what is shown of the people in view has changed: to http(s)://… or to a program's stdin."""
    faces: Literal["find", "given"] = "find"
    """With pictures, also those of --data: find faces in them, or each is one face already."""


_ENDS = {
    "list_layers": ("--list-layers only lists them, and ends.", ()),
    "explain": (
        "--explain takes the pictures itself, and --folder says where its figures go.",
        ("folder", "json_lines"),
    ),
    "analyze": ("--analyze reads no faces; --data says which images it takes.", ("folder", "json_lines")),
    "study": ("--study shows nothing; its tables are in its own folder.", ("source",)),
    "benchmark": ("--benchmark draws its faces itself.", ("folder", "json_lines")),
}
"""What ends without a live view: a hint where it stands beside a flag that it has no use for, and those that it has."""
_NEEDED_BY = {
    "explain": ("PICTURE", ("layer", "emotion")),
    "analyze": ("", ("label_map", "votes", "views", "robustness")),
    "data": ("PATH", ("label_map", "votes")),
    "study": ("FOLDER", ("jobs", "fps", "study_format", "identify", "baseline", "markers", "coding")),
    "identify": ("", ("recognizer_model",)),
    "markers": ("FILE", ("marker_window",)),
    "source": ("FOLDER", ("study",)),
}
"""What it takes, and the flags that are for nothing without it."""
_OF_THE_LIVE_VIEW = ("source", "output", "log", "capture", "clip", "json_lines", "folder", "on_change")


class LiveRequest(NamedTuple):
    """What the command line asks for."""

    settings: LiveSettings
    paths: Paths
    wants: Literal["live", "study", "analyze", "benchmark", "explain", "list-layers"]


def parse(argv: Sequence[str]) -> LiveRequest:
    """Returns the request, or raises ConfigError; `--help` prints and exits with 0."""
    paths = Paths.from_environment(models=peek(argv, "--models-dir"))
    names = {*LiveSettings.model_fields, "json", "no-display", "models-dir"} - {"json_lines"}
    try:
        settings = parsed(_command_line, argv, program=PROGRAM, names=names, positional="--source")
    except ValidationError as error:
        raise config_error(error, LiveSettings, script=PROGRAM) from None
    _check_together(settings)
    wants = next((name for name in _ENDS if getattr(settings, name)), "live")
    return LiveRequest(settings, paths, wants.replace("_", "-"))


def _command_line(
    settings: Annotated[tyro.conf.FlagCreatePairsOff[LiveSettings], tyro.conf.arg(name="")] = LiveSettings(),  # noqa: B008
    models_dir: MODELS_DIR = None,
) -> LiveSettings:
    """Analyse a model of facial emotions, and read faces from a camera, a video, a stream or pictures."""
    return settings


def _check_together(settings: LiveSettings) -> None:
    """Raises ConfigError where a flag would be ignored because of another one."""
    defaults = LiveSettings()
    given = {name for name in LiveSettings.model_fields if getattr(settings, name) != getattr(defaults, name)}
    for other, (value, names) in _NEEDED_BY.items():
        name = next((name for name in names if name in given and other not in given), None)
        if name is not None:
            needed = f"--{other} {value}".rstrip()
            raise ConfigError(f"--{name.replace('_', '-')} is used with --{other}.", hint=f"Give {needed} too.")
    for asked, (hint, takes) in _ENDS.items():
        others = (name for name in (*_ENDS, *_OF_THE_LIVE_VIEW) if name in given and name not in (asked, *takes))
        if asked in given and (other := next(others, None)):
            first, second = (f"--{name.replace('_', '-')}" for name in (asked, other))
            raise ConfigError(f"{first} and {second} do not go together.", hint=hint)
    if settings.detector == "haar" and settings.detector_model is not None:
        raise ConfigError("--detector haar has no use for --detector-model.", hint="Leave one of the two out.")


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    settings = request.settings
    console = Output(stderr=settings.json_lines)
    model = find_model(
        settings.model, request.paths, labels_file=settings.labels, pixels=settings.pixels, colours=settings.colours
    )
    if model.note:
        say(console, model.note)
    if request.wants in ("live", "study", "analyze", "benchmark"):
        # Qt, FFmpeg, libpng and TensorFlow report on file descriptor 2 what we tell in our own words.
        send_native_messages_to(Path(os.devnull))
    if request.wants == "live":
        _live(console, request, model)
    elif request.wants == "study":
        from fer_core.cli.study import make_study

        make_study(console, request)
    elif request.wants == "analyze":
        from fer_core.cli.inspecting import analyse_or_fail

        analyse_or_fail(console, model, request)
    elif request.wants == "benchmark":
        from fer_core.cli.benchmarking import benchmark

        benchmark(console, request, model)
    else:
        from fer_core.cli.inspecting import explain_pictures, list_layers

        run_in_child(list_layers if request.wants == "list-layers" else explain_pictures, model, request)


def _shown_if_possible(console: Console, settings: LiveSettings, *, prints: bool) -> LiveSettings:
    """Returns the settings, without a window where none can be opened and what is read is kept in another way.

    `prints`: a line for each picture is printed. Raises SourceError where nothing would be left of what is read.
    """
    from fer_core.live.screen import check_display

    keeps = (settings.output, settings.log, settings.json_lines, settings.capture, settings.clip)
    try:
        check_display()
    except SourceError as error:
        if not (prints or any(keeps)):
            raise
        say(console, f"{error} Going on without a window.")
        return settings.model_copy(update={"display": False})
    return settings


def _live(console: Console, request: LiveRequest, model: ModelFiles) -> None:
    from fer_core.cli.live_session import read_frames, read_pictures
    from fer_core.live.classifier import make_classifier
    from fer_core.live.sources import open_source

    settings = request.settings
    if settings.source is None:
        from fer_core.cli.inspecting import analyse_if_possible

        analyse_if_possible(console, model, request)
    source_path = Path(settings.source or DEFAULT_SOURCE)
    for flag, path in (("--output", settings.output), ("--log", settings.log)):
        with contextlib.suppress(OSError):  # what cannot be looked at is refused later, with the reason
            if path is not None and path.samefile(source_path) and source_path.is_file():
                raise ConfigError(f"{flag} {path} is the source itself.", hint="Give another name.")
    how = {"runtime": settings.runtime, "prior": settings.prior}
    classifier = make_classifier(model, request.paths, **how, report=lambda text: say(console, text))
    with contextlib.closing(open_source(settings.source or DEFAULT_SOURCE)) as source:
        if source.is_still and (settings.capture or settings.clip):
            raise ConfigError("--capture and --clip are for a camera, a stream or a video.", hint="Leave them out.")
        if source.is_still and settings.on_change:
            raise ConfigError("--on-change is for a camera, a stream or a video.", hint="Take --json.")
        if not source.is_still and settings.faces == "given":
            raise ConfigError("--faces given is for pictures that are one face each.", hint="Leave it out.")
        if settings.display:
            request = request._replace(settings=_shown_if_possible(console, settings, prints=source.is_still))
        read = read_pictures if source.is_still else read_frames
        read(console, request, classifier, source)
        for problem in source.skipped:
            say(console, f"Skipped: {problem}")
