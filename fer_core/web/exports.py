"""The exports of a run on its page: written by a process of its own, which has TensorFlow, and then to be saved."""

import logging
import subprocess
import threading
from pathlib import Path

from fer_core.errors import ConfigError, did_you_mean
from fer_core.paths import Paths, run_name
from fer_core.store.files import read_json
from fer_core.store.inspection import run_child
from fer_core.store.run import Run
from fer_core.web.problems import RequestError

log = logging.getLogger(__name__)

OFFERED = {"onnx": "model.onnx", "tflite": "model.tflite", "int8": "model_int8.tflite"}
"""A SavedModel is a folder: the command line writes it."""
_LONGEST_SECONDS = 600
_ONE_AT_A_TIME = threading.Lock()
"""Each takes TensorFlow and all cores for some seconds."""


def exports(run: Run, paths: Paths) -> dict[str, Path]:
    """Returns the files that were exported of a run, by their names."""
    folder = _folder(run, paths)
    return {name: folder / name for name in (*OFFERED.values(), "export.json") if (folder / name).is_file()}


def write_export(run: Run, name: str, paths: Paths) -> str:
    """Writes one form of a finished run, and returns a sentence on how it compares with Keras.

    Raises ConfigError for a form that there is not, ArtifactError, and RequestError where another one is being written.
    """
    if name not in OFFERED:
        raise ConfigError(f"There is no form {name[:60]!r}.", hint=did_you_mean(name, OFFERED))
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise RequestError(503, "Another export is being written.", hint="Try again in a minute.")
    try:
        arguments = (run.folder.absolute(), name, paths.models.absolute(), paths.history.absolute())
        child = run_child("fer_core.cli.exporting", *arguments, timeout_seconds=_LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        raise RequestError(503, f"It took longer than {_LONGEST_SECONDS} s.", hint="Try it in a terminal.") from None
    finally:
        _ONE_AT_A_TIME.release()
    if child.returncode:
        log.error("The export of %s failed: %s", run.id, child.stderr)
        raise RequestError(500, "The export failed.", hint="The server's output says why.")
    file = read_json(_folder(run, paths) / "export.json", "export")["files"][0]
    return f"{file['path']} is written: it differs from Keras by at most {file['largest_difference']:.1g}."


def _folder(run: Run, paths: Paths) -> Path:
    return paths.models / "exports" / run_name(run.folder).removeprefix("shipped/")
