"""`python -m fer_core.web.batch_process`: reads a batch, or draws what was read; ends with its parent."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from fer_core.cli import ended
from fer_core.paths import Paths


def main(argv: Sequence[str]) -> None:
    """Does what the arguments say: folder, what, settings, processes, and the folders of models and history."""
    folder, what, spec, processes, *folders = argv
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if what == "reading":
        from fer_core.cli import study

        study.main([f"{folder}/study", "--spec", spec, "--processes", processes, *folders])
        return
    from fer_core.study.annotated import annotate_pictures, annotate_video
    from fer_core.study.study import find_study
    from fer_core.web.batch import open_batch

    batch = open_batch(Path(folder), Paths.from_environment(models=folders[1], history=folders[3]))
    study = find_study(batch.study_folder)
    batch.annotated.mkdir(exist_ok=True)
    if what == "pictures":
        annotate_pictures(study, batch.source, batch.annotated / "pictures.zip")
    else:
        name = study.files()["file"][int(what)]
        annotate_video(study, name, batch.source / name, batch.annotated / f"{what}.mp4")


def _end_with_parent() -> None:
    """Waits for the end of the parent, which holds the other end of this pipe."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
