"""`python -m fer_core.cli.trial SEARCH --job JOB`: the process of one trial. Jobs start it; a person can, too."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich.console import Console

from fer_core.cli import ended
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, parsed, say, send_native_messages_to
from fer_core.cli.training import Display
from fer_core.errors import signals_wait
from fer_core.paths import Paths
from fer_core.tuning.state import open_search

PROGRAM = "-m fer_core.cli.trial"


def main(argv: Sequence[str]) -> None:
    """Does what the search asks of this job. Raises FerError for what the user can mend."""
    name, job, paths = parsed(_command_line, argv, program=PROGRAM, names=("job", "models_dir", "history_dir"))
    search = open_search(paths, name)
    console = Console()
    send_native_messages_to(search.folder / "log.txt")  # until it is known which run is trained
    try:
        with signals_wait(), Display(console) as display:
            from fer_core.tuning.trial import run_trial

            run_trial(search, job, report=display, begin=lambda run: send_native_messages_to(run.log_txt))
    except KeyboardInterrupt:
        say(console, f"\nInterrupted. Nothing before it is lost: job {job} goes on with it when it is resumed.")
        raise


def _command_line(
    search: tyro.conf.Positional[str],
    job: Annotated[str, tyro.conf.arg(help="Who asks; the same job gets the same trial again.")],
    models_dir: MODELS_DIR = None,
    history_dir: HISTORY_DIR = None,
) -> tuple[str, str, Paths]:
    """Train one trial of a search."""
    return search, job, Paths.from_environment(models=models_dir, history=history_dir)


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
