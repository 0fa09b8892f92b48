"""The command line of `python -m fer_core.web`, made from `WebSettings`."""

from collections.abc import Sequence
from typing import Annotated

import tyro
from pydantic import ValidationError

from fer_core.cli.command_line import parsed, peek
from fer_core.config import config_error
from fer_core.paths import Paths
from fer_core.web.settings import WebSettings

PROGRAM = "-m fer_core.web"


def parse(argv: Sequence[str]) -> tuple[WebSettings, Paths]:
    """Returns settings and folders, or raises ConfigError; `--help` prints and exits with 0."""
    paths = Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))
    try:
        settings = parsed(_command_line, argv, program=PROGRAM, names=_names(), positional=None)
    except ValidationError as error:
        raise config_error(error, WebSettings, script=PROGRAM) from None
    return settings, paths


def _command_line(
    settings: Annotated[tyro.conf.FlagCreatePairsOff[WebSettings], tyro.conf.arg(name="")] = WebSettings(),  # noqa: B008
    models_dir: Annotated[str | None, tyro.conf.arg(help="Where runs are. Default: $FER_MODELS_DIR, models.")] = None,
    history_dir: Annotated[
        str | None, tyro.conf.arg(help="Where CSVs are. Default: $FER_HISTORY_DIR, history.")
    ] = None,
) -> WebSettings:
    """Serve the web page and the API: upload a face, use the camera, watch and steer training."""
    return settings


def _names() -> list[str]:
    return [*WebSettings.model_fields, "models-dir", "history-dir"]
