"""`python -m fer_core.cli.study_job FOLDER --spec JSON`: the process of a study that is a job, or one that helps it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from fer_core.cli import ended
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, parsed
from fer_core.cli.study import read_and_sum_up
from fer_core.errors import signals_wait
from fer_core.paths import Paths
from fer_core.study.files import whole_source
from fer_core.study.reading import settled
from fer_core.study.run import read_study
from fer_core.study.settings import ResultSettings, StudyFile, StudySettings
from fer_core.study.study import find_study, open_study

PROGRAM = "-m fer_core.cli.study_job"


def main(argv: Sequence[str]) -> None:
    """Reads a study to its end and makes its tables; or, as a helper, what is left to read. Raises FerError."""
    names = ("spec", "processes", "helps", "models_dir", "history_dir")
    folder, spec, processes, helps, paths = parsed(_command_line, argv, program=PROGRAM, names=names, positional=None)
    if helps:
        with signals_wait():
            read_study(find_study(folder), paths, processes=processes, to_the_end=False)
        return
    own, made = (_of(spec, kind) for kind in (StudySettings, ResultSettings))
    if (folder / "study.json").is_file():
        study = find_study(folder)  # with the model that was in use when it began
    else:
        about = {"source": whole_source(spec["source"]), "format": spec.get("format", "csv")}
        study = open_study(folder, StudyFile(settings=settled(own, paths), **about))
    read_and_sum_up(Console(), study, paths, made, processes=processes)


def _of(spec: dict[str, Any], kind: type) -> Any:
    return kind(**{name: spec[name] for name in kind.model_fields if name in spec})


def _command_line(
    folder: tyro.conf.Positional[str],
    spec: Annotated[str, tyro.conf.arg(help="What is read and how, as JSON.")] = "{}",
    processes: Annotated[int, tyro.conf.arg(help="Processes that read.")] = 1,
    helps: Annotated[bool, tyro.conf.arg(help="Another process sees to the study.")] = False,
    models_dir: MODELS_DIR = None,
    history_dir: HISTORY_DIR = None,
) -> tuple:
    """Read a study that is a job."""
    paths = Paths.from_environment(models=models_dir, history=history_dir)
    return Path(folder), json.loads(spec), processes, helps, paths


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
