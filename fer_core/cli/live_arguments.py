"""The command line of `realtime_emotion_detector.py`, made from `LiveSettings`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import tyro
from pydantic import Field, ValidationError

from fer_core.cli.command_line import parsed, peek
from fer_core.config import Settings, config_error
from fer_core.data.views import MOST_VIEWS
from fer_core.errors import ConfigError
from fer_core.faces import DETECT_EVERY, WIDTHS
from fer_core.paths import Paths

PROGRAM = "realtime_emotion_detector.py"
DEFAULT_SOURCE = "0"


class LiveSettings(Settings):
    """What is read, with what, and where the readings go."""

    source: str | None = None
    """A camera's number, a video, a stream (http://, rtsp://), a picture or a folder of pictures. Default: camera 0."""
    model: str | None = None
    """A run id, a .h5, .hdf5 or .keras file, or `best` or `tiny`, which came along. Default: the model in use."""
    labels: Path | None = None
    """The labels of a model from elsewhere, as JSON. Default: looked for beside it."""
    pixels: Literal["0..255", "0..1", "-1..1"] | None = None
    """The grey values that a model from elsewhere was trained on. Ours scale them themselves."""
    runtime: Literal["litert", "int8", "keras"] = "litert"
    """What classifies; int8 is the export with 8-bit weights that a run may have, keras is slower, for comparison."""

    output: Path | None = None
    """Write an annotated video (.mp4, .mkv, .avi, .mov); for pictures also a picture or a folder."""
    log: Path | None = None
    """Write one row per face and frame: .csv or .jsonl."""
    overwrite: bool = False
    """Replace what --output and --log name, if it is there already."""
    json_lines: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object per frame or picture; everything else goes to stderr."""
    display: bool = True
    """Show a window. What writes a file goes on without a screen; --no-display reads as fast as it goes."""
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
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.4
    """A reading with less calibrated confidence is unsure."""
    smoothing: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Seconds after which a change has passed half its height; 0 = off."""

    analyze: bool = False
    """Analyse the model on the test images, and end."""
    data: str | None = None
    """The images to analyse with. Default: those that the model was trained on, if they are still there."""

    views: Annotated[int, Field(ge=1, le=MOST_VIEWS)] = 1
    """With --analyze: average the answers to so many views of each image: itself, mirrored, moved by 2 or 3 pixels."""

    explain: Path | None = None
    """Draw the feature maps of a layer and Grad-CAM for a picture or a folder of pictures, and end."""
    layer: str | None = None
    """With --explain: the layer. Default: the last convolution for Grad-CAM, one of readable size for the maps."""
    emotion: str | None = None
    """With --explain: the emotion that Grad-CAM explains. Default: the predicted one."""
    list_layers: bool = False
    """List the layers that --layer takes, and end."""
    faces: Literal["find", "given"] = "find"
    """With pictures: find faces in them, or each is one face already."""


_ENDS = {
    "list_layers": "--list-layers only lists them, and ends.",
    "explain": "--explain takes the pictures itself, and --folder says where its figures go.",
    "analyze": "--analyze reads no faces; --data says which images it takes.",
}
"""What ends without a live view, each with a hint where it stands beside a flag that it has no use for."""
_USED_WITH = (
    ("layer", "explain", "Give --explain PICTURE."),
    ("emotion", "explain", "Give --explain PICTURE."),
    ("views", "analyze", "Give --analyze too."),
)
_OF_THE_LIVE_VIEW = ("source", "output", "log", "capture", "clip")


class LiveRequest(NamedTuple):
    """What the command line asks for."""

    settings: LiveSettings
    paths: Paths
    wants: Literal["live", "analyze", "explain", "list-layers"]


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
    models_dir: Annotated[str | None, tyro.conf.arg(help="Where runs are. Default: $FER_MODELS_DIR, models.")] = None,
) -> LiveSettings:
    """Analyse a model of facial emotions, and read faces from a camera, a video, a stream or pictures."""
    return settings


def _check_together(settings: LiveSettings) -> None:
    """Raises ConfigError where a flag would be ignored because of another one."""
    defaults = LiveSettings()
    given = {name for name in LiveSettings.model_fields if getattr(settings, name) != getattr(defaults, name)}
    for name, other, hint in _USED_WITH:
        if name in given and other not in given:
            raise ConfigError(f"--{name} is used with --{other}.", hint=hint)
    for asked in (name for name in _ENDS if name in given):
        others = [name for name in (*_ENDS, *_OF_THE_LIVE_VIEW) if name in given and name != asked]
        if others:
            first, second = (f"--{name.replace('_', '-')}" for name in (asked, others[0]))
            raise ConfigError(f"{first} and {second} do not go together.", hint=_ENDS[asked])
    if settings.detector == "haar" and settings.detector_model is not None:
        raise ConfigError("--detector haar has no use for --detector-model.", hint="Leave one of the two out.")
