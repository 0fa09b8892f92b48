"""`python -m fer_core.cli.retrain`: trains again on all images so far, and puts the result into use if it is better.

    python -m fer_core.cli.retrain --spec '{"min_new_images": 50}'

Started again with the same --run it goes on where it was, and comes to the same decision.
"""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import tyro
from rich.console import Console

from fer_core import networks
from fer_core.cli.backend import choose_backend
from fer_core.cli.command_line import parsed
from fer_core.cli.exits import ended
from fer_core.cli.native_messages import send_native_messages_to
from fer_core.cli.output import say
from fer_core.data.regular_file import checked_status
from fer_core.errors import ConfigError
from fer_core.interruption import signals_wait
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.training.retraining import RetrainSpec

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset

PROGRAM = "-m fer_core.cli.retrain"
_OF_THE_MESSAGE = "queue"
"""Stands in a job's arguments, and says nothing about the training."""

_Named = tyro.conf.arg


class Request(NamedTuple):
    """What the command line asks for; `run` is the id of the run to make, or to go on with."""

    spec: RetrainSpec
    paths: Paths
    run: str | None


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    from fer_core.training.begin_retraining import begin_retraining

    request = parse(argv)
    console = Console()
    with console.status("Looking at the images …") as status:
        run = begin_retraining(
            request.spec,
            request.paths,
            run_id=request.run,
            say=lambda sentence: say(console, sentence),
            report=status.update,
        )
    if run is None:
        return
    dataset = _dataset(console, run, request.paths)
    if run.state.status == "SUCCEEDED":
        _decide(console, run, dataset, request)
        return
    _train(console, run, dataset, request.paths)
    _start_anew(run, is_named=request.run is not None)


def parse(argv: Sequence[str]) -> Request:
    """Returns the request, or raises ConfigError; `--help` prints and exits with 0."""
    spec, run, paths = parsed(_command_line, argv, program=PROGRAM, names=_flags(), positional="--run")
    return Request(spec, paths, run)


def _command_line(
    job: Annotated[str | None, _Named(help="The job that this is done for; only shown in lists of processes.")] = None,
    spec: Annotated[str, _Named(help="What is asked for, as JSON or as the path of a file of it.")] = "{}",
    run: Annotated[str | None, _Named(help="The run to make or to go on with. Default: a new one.")] = None,
    models_dir: Annotated[str | None, _Named(help="Where runs go. Default: $FER_MODELS_DIR, models.")] = None,
    history_dir: Annotated[str | None, _Named(help="Where CSVs go. Default: $FER_HISTORY_DIR, history.")] = None,
) -> tuple[RetrainSpec, str | None, Paths]:
    """Train again on all images so far, and put the result into use if it is measurably better."""
    paths = Paths.from_environment(
        models=Path(models_dir) if models_dir else None, history=Path(history_dir) if history_dir else None
    )
    return _spec(spec), run, paths


def _flags() -> list[str]:
    return [name for name in _command_line.__annotations__ if name != "return"]


def _text_of(path: Path) -> str:
    checked_status(path)
    return path.read_text(encoding="utf-8")


def _spec(text: str) -> RetrainSpec:
    try:
        values = json.loads(text if text.lstrip().startswith("{") else _text_of(Path(text)))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--spec cannot be read: {error}.", hint='It is like {"min_new_images": 50}.') from None
    if not isinstance(values, dict):
        raise ConfigError(f"--spec is no table of settings: {text}.", hint='It is like {"min_new_images": 50}.')
    values.pop(_OF_THE_MESSAGE, None)
    return RetrainSpec.checked(values, where="--spec")


def _dataset(console: Console, run: Run, paths: Paths) -> "Dataset":
    """Returns the run's images, once it is noted (or, for a run that was begun, checked) which they are."""
    from fer_core.data.dataset import load_dataset
    from fer_core.training.record import record_data

    config = run.manifest.config
    side, channels = networks.input_shape(config)
    with console.status("Looking at the images …") as status:
        dataset = load_dataset(config, paths, side=side, channels=channels, report=status.update)
    for note in dataset.notes:
        say(console, note)
    with contextlib.ExitStack() as held:
        if run.state.status != "SUCCEEDED":
            held.enter_context(run.hold())
        record_data(run, dataset)
    return dataset


def _train(console: Console, run: Run, dataset: "Dataset", paths: Paths) -> None:
    from fer_core.cli.display import Display
    from fer_core.evaluation.report import print_evaluation

    _keep_audit(run, dataset)
    say(console, f"Run {run.id} in {run.folder}. Preparing Keras …")
    choose_backend(run.manifest.backend)
    send_native_messages_to(run.log_txt)
    with signals_wait(), Display(console) as display:
        from fer_core.training.train import train

        result = train(run, dataset, paths=paths, report=display)
    print_evaluation(
        console,
        result.evaluation,
        images=(len(dataset.train), len(dataset.validation or ())),
        last_epoch=result.progress.rows[-1],
        kept_epoch=result.kept_epoch,
    )


def _keep_audit(run: Run, dataset: "Dataset") -> None:
    from fer_core.data.audit import audit
    from fer_core.evaluation.figures import class_distribution_figure
    from fer_core.evaluation.look import save
    from fer_core.store.files import write_json

    found = audit(dataset)
    write_json(run.audit_json, found.to_json())
    run.plots.mkdir(exist_ok=True)
    images = {part.name: part.images for part in found.parts}
    save(class_distribution_figure(images, title=dataset.name), run.plots / "class_distribution.png")


def _start_anew(run: Run, *, is_named: bool) -> None:
    """The saved file must prove itself in a process that has never seen the network: the same one, begun anew.

    Nothing is left of the old one but its number, so that who watches it notices nothing, and a GPU's memory is free.
    """
    named = [] if is_named else ["--run", run.id]
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(sys.stderr.fileno(), 2)  # native messages went to the run's log
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *named])


def _decide(console: Console, run: Run, dataset: "Dataset", request: Request) -> None:
    from fer_core.training.deciding import decide

    choose_backend(run.manifest.backend)
    send_native_messages_to(run.log_txt)
    for sentence in decide(run, dataset, request.spec, request.paths).sentences():
        say(console, sentence)


if __name__ == "__main__":
    sys.exit(ended(lambda: main(sys.argv[1:])))
