"""`python -m fer_core.cli.trial SEARCH --job JOB`: the process of one trial. Jobs start it; a person can, too."""

import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console

from fer_core.cli.command_line import parsed, peek
from fer_core.cli.display import Display
from fer_core.cli.exits import ended
from fer_core.cli.native_messages import send_native_messages_to
from fer_core.cli.output import say
from fer_core.interruption import signals_wait
from fer_core.paths import Paths
from fer_core.training.machine import choose_backend
from fer_core.tuning.state import open_search

PROGRAM = "-m fer_core.cli.trial"


class TrialRequest(NamedTuple):
    """What the command line asks for."""

    search: str
    job: str


def main(argv: Sequence[str]) -> None:
    """Does what the search asks of this job. Raises FerError for what the user can mend."""
    request = parsed(_command_line, argv, program=PROGRAM, names=("job", "models_dir", "history_dir"))
    paths = Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))
    search = open_search(paths, request.search)
    console = Console()
    choose_backend()
    send_native_messages_to(search.folder / "log.txt")  # until it is known which run is trained
    try:
        with signals_wait(), Display(console) as display:
            from fer_core.tuning.trial import run_trial

            run_trial(search, request.job, report=display, begin=lambda run: send_native_messages_to(run.log_txt))
    except KeyboardInterrupt:
        say(console, f"\nInterrupted. Nothing before it is lost: job {request.job} goes on with it when it is resumed.")
        raise


def _command_line(
    search: tyro.conf.Positional[str],
    job: Annotated[str, tyro.conf.arg(help="Who asks; the same job gets the same trial again.")],
    models_dir: Annotated[str | None, tyro.conf.arg(help="Where runs are. Default: $FER_MODELS_DIR, models.")] = None,
    history_dir: Annotated[str | None, tyro.conf.arg(help="Where CSVs go. Default: $FER_HISTORY_DIR, history.")] = None,
) -> TrialRequest:
    """Train one trial of a search."""
    return TrialRequest(search, job)


if __name__ == "__main__":
    sys.exit(ended(lambda: main(sys.argv[1:])))
