"""`python -m fer_core.cli.retrain`: trains again on all images so far, and puts the result into use if it is better.

    python -m fer_core.cli.retrain --spec '{"min_new_images": 50}'

Started again with the same --run it goes on where it was, and comes to the same decision.
"""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from fer_core.cli import ended, run_in_child
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, Output, parsed, say, send_native_messages_to
from fer_core.errors import ConfigError
from fer_core.paths import Paths, checked_status
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.training.retraining import RetrainSpec

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset

PROGRAM = "-m fer_core.cli.retrain"
_OF_THE_MESSAGE = "queue"
"""Stands in a job's arguments, and says nothing about the training."""
_HINT = 'It is like {"min_new_images": 50}.'

_Named = tyro.conf.arg


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    spec, paths, run_id = parse(argv)
    from fer_core.cli.training import train_and_print
    from fer_core.training.begin_retraining import begin_retraining

    console = Output()
    with console.status("Looking at the images …") as status:
        run = begin_retraining(spec, paths, run_id=run_id, say=partial(say, console), report=status.update)
    if run is None:
        return
    if run.state.status != "SUCCEEDED":
        train_and_print(console, run, paths, dataset=_dataset(console, run, paths))
    os.dup2(sys.stderr.fileno(), 2)  # native messages went to the run's log, where the child's errors would go as well
    # The saved file must prove itself in a process that has never seen the network.
    run_in_child(_decide, run.id, spec, paths)
    send_native_messages_to(run.log_txt)


def parse(argv: Sequence[str]) -> tuple[RetrainSpec, Paths, str | None]:
    """Returns what is asked for and the id of the run to make, or to go on with. Raises ConfigError.

    `--help` prints and exits with 0.
    """
    names = [name for name in _command_line.__annotations__ if name != "return"]
    return parsed(_command_line, argv, program=PROGRAM, names=names, positional="--run")


def _command_line(
    job: Annotated[str | None, _Named(help="The job that this is done for; only shown in lists of processes.")] = None,
    spec: Annotated[str, _Named(help="What is asked for, as JSON or as the path of a file of it.")] = "{}",
    run: Annotated[str | None, _Named(help="The run to make or to go on with. Default: a new one.")] = None,
    models_dir: MODELS_DIR = None,
    history_dir: HISTORY_DIR = None,
) -> tuple[RetrainSpec, Paths, str | None]:
    """Train again on all images so far, and put the result into use if it is measurably better."""
    return _spec(spec), Paths.from_environment(models=models_dir, history=history_dir), run


def _spec(text: str) -> RetrainSpec:
    try:
        if not text.lstrip().startswith("{"):
            checked_status(Path(text))
            text = Path(text).read_text(encoding="utf-8")
        values = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--spec cannot be read: {error}.", hint=_HINT) from None
    if not isinstance(values, dict):
        raise ConfigError(f"--spec is no table of settings: {text}.", hint=_HINT)
    values.pop(_OF_THE_MESSAGE, None)
    return RetrainSpec.checked(values, where="--spec")


def _dataset(console: Console, run: Run, paths: Paths) -> "Dataset":
    from fer_core.cli.training import loaded_data

    dataset = loaded_data(console, run.manifest.config, paths, run=run)
    for note in dataset.notes:
        say(console, note)
    return dataset


def _decide(run_id: str, spec: RetrainSpec, paths: Paths) -> None:
    """Compares the finished run with the model in use, and promotes it if it is better; prints why or why not."""
    from fer_core.training.deciding import decide
    from fer_core.training.machine import choose_backend
    from fer_core.training.train import check_same_data

    # The process that has trained may still hold most of a GPU's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    console, run = Output(), open_run(paths, run_id)
    dataset = _dataset(console, run, paths)
    check_same_data(run.manifest, dataset)
    send_native_messages_to(run.log_txt)
    choose_backend(run.manifest.backend)
    for sentence in decide(run, dataset, spec, paths).sentences():
        say(console, sentence)


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
