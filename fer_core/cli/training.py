"""The trainings of the command line: audits the images, trains, reports the scores, and puts the model into use.

Keras is imported when all that can be refused without it has been looked at.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from fer_core import networks
from fer_core.cli.command_line import add_row, plain_table, say, say_wrapped, send_native_messages_to
from fer_core.cli.report import print_evaluation, print_scores
from fer_core.cli.train import Request, command
from fer_core.config import TrainConfig
from fer_core.data.audit import Audit, SharedImages, audit
from fer_core.data.contents import UnreadableImagesError
from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError, ConfigError, DatasetError, signals_wait
from fer_core.evaluation.audit_report import audit_folder
from fer_core.paths import Paths, find_source
from fer_core.store.export import ensure_litert
from fer_core.store.files import write_json
from fer_core.store.model_files import find_model
from fer_core.store.promotion import current, promote
from fer_core.store.run import Run
from fer_core.training import train as training
from fer_core.training.machine import choose_backend
from fer_core.training.progress import duration, epoch_line

LINE_SECONDS = 15.0
"""How often a log file gets a line within an epoch."""
FIRST_NAMES = 3
"""So many images are named; audit.json has them all."""


def average(console: Console, request: Request) -> None:
    """Makes an ensemble of finished runs, on the data of the first."""
    members = training.finished_members(request.ensemble, request.paths)
    dataset, found = audited_data(console, members[0].manifest.config, request.paths)
    run = training.begin_ensemble(members, dataset, request.paths, promote=request.promote)
    training.save_audit(found, run.audit_json, run.plots)
    send_native_messages_to(run.log_txt)
    choose_backend()
    say(console, f"Run {run.id} in {run.folder}: the mean of {', '.join(member.id for member in members)}.")
    print_scores(console, training.finish_ensemble(run, members, dataset))
    _use(console, run, request.paths)


def train(console: Console, request: Request) -> None:
    """Trains a new run, or goes on with one, and puts it into use."""
    run, paths, epochs = request.resume, request.paths, request.config.epochs
    if request.nothing_to_resume:
        raise ConfigError("There is no unfinished run to go on with.", hint=f"`{command('--history')}` lists all runs.")
    if run is not None and _is_finished(run, request):
        say(console, f"Run {run.id} is finished.")
        if run.manifest.litert is None and ensure_litert(run):
            # It was trained without TensorFlow; this is the first machine that has it.
            say(console, f"Its LiteRT export is made: {run.model_tflite}")
    else:
        dataset, found = audited_data(console, request.config, paths, run=run)
        if run is None:
            run = training.begin_run(request.config, dataset, paths, recipe=request.recipe, promote=request.promote)
        try:
            train_and_print(console, run, paths, dataset=dataset, audited=found, epochs=epochs)
        except KeyboardInterrupt:
            usual = Paths.from_environment()
            flags = (("--models-dir", paths.models, usual.models), ("--history-dir", paths.history, usual.history))
            given = (part for flag, path, default in flags if path != default for part in (flag, str(path)))
            lost = f"Interrupted after epoch {run.state.epoch}. Nothing before it is lost."
            say(console, f"\n{lost} Go on with: {command('--resume', run.id, *given)}")
            raise
    _use(console, run, paths)


def _is_finished(run: Run, request: Request) -> bool:
    """Returns whether the run to resume is finished. Raises ConfigError if other settings or more epochs are asked."""
    manifest, state = run.manifest, run.state
    own, given = networks.with_all_options(manifest.config), networks.with_all_options(request.config)
    training.check_same_config(own, given)
    if state.status != "SUCCEEDED":
        training.check_is_no_ensemble(run.id, manifest.members)
        return False
    if given.epochs > own.epochs:
        raise ConfigError(
            f"Run {run.id} is finished, after {state.epoch} of {own.epochs} epochs; it gets no more.",
            hint=f"Start a new run from its weights: {command('--init-from', run.id)} …",
        )
    return True


def train_and_print(
    console: Console,
    run: Run,
    paths: Paths,
    *,
    dataset: Dataset,
    audited: Audit | None = None,
    epochs: int | None = None,
) -> None:
    """Trains a run, shows how far it is, and prints its scores."""

    def begin() -> None:
        say(console, f"Run {run.id} in {run.folder}. Preparing Keras …")
        send_native_messages_to(run.log_txt)

    given = {"audited": audited, "epochs": epochs, "begin": begin}
    with signals_wait(), Display(console) as display:
        result = training.train(run, dataset, paths=paths, report=display, **given)
    print_evaluation(
        console,
        result.evaluation,
        images=(len(dataset.train), len(dataset.validation or ())),
        last_epoch=result.progress.rows[-1],
        kept_epoch=result.progress.kept_epoch,
    )


def loaded_data(console: Console, config: TrainConfig, paths: Paths, *, run: Run | None) -> Dataset:
    """Returns the images of a training, and shows meanwhile what is done. Raises FerError, as `training_data` does."""
    with console.status("Looking at the images …") as status:
        return training.training_data(config, paths, run=run, report=status.update)


def audited_data(
    console: Console, config: TrainConfig, paths: Paths, *, run: Run | None = None
) -> tuple[Dataset, Audit]:
    """Returns the images and their audit, which is printed."""
    try:
        dataset = loaded_data(console, config, paths, run=run)
    except UnreadableImagesError as error:
        path = audit_folder(paths, find_source(config.data, os.environ)) / "audit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"unreadable": [asdict(image) for image in error.bad_images]})
        raise DatasetError(f"{error} All are named in {path}.", hint=error.hint) from None
    found = audit(dataset)
    print_audit(console, found)
    for note in dataset.notes:
        say(console, note)
    return dataset, found


def print_audit(console: Console, found: Audit) -> None:
    """Prints the images per class and part, copies and contradictions within and across parts, blank and unreadable."""
    say_wrapped(console, f"\nImages of {found.name}", style="bold")
    console.print(_audit_table(found))
    console.print()
    say_wrapped(console, f"Format: {found.report.format}. {found.report.of_persons()}".strip())
    if found.report.faces and not found.report.detector:  # otherwise it is among the notes
        say_wrapped(console, found.report.faces)
    for shared in found.shared:
        other_label = f", {shared.other_label:,} of them only with another label" if shared.other_label else ""
        count = f"{shared.images:,} images of {shared.part} also occur in {shared.other}{other_label}."
        say_wrapped(console, count if shared.images else f"No image of {shared.part} occurs in {shared.other} too.")
        say_wrapped(console, _near_duplicates_sentence(found, shared))
    say_wrapped(console, _named_images("blank (hardly any difference between their pixels)", found.blank))
    say_wrapped(console, _named_images("unreadable", [image.name for image in found.unreadable]))


def _near_duplicates_sentence(found: Audit, pair: SharedImages) -> str:
    names = {near.name for near in found.near_duplicates if (near.part, near.other) == (pair.part, pair.other)}
    how_many = f"{len(names):,} more {'looks' if len(names) == 1 else 'look'} like one of {pair.other}"
    return f"{how_many} (resized, lightened or watermarked anew)." if names else ""


def _audit_table(found: Audit) -> Table:
    headers = [header for part in found.parts for header in (part.name, "")]
    table = plain_table(
        "class", *headers, caption="* pictures that occur with more than one label", caption_justify="left"
    )
    totals = [sum(part.images.values()) for part in found.parts]
    for label in found.labels:
        add_row(table, label, *_counts_and_shares([part.images.get(label, 0) for part in found.parts], totals))
    table.add_row("all", *_counts_and_shares(totals, []), style="bold")
    table.add_row("extra copies", *_counts_and_shares([part.extra_copies for part in found.parts], totals))
    table.add_row("contradictions*", *_counts_and_shares([len(part.conflicting) for part in found.parts], []))
    return table


def _counts_and_shares(counts: Sequence[int], totals: Sequence[int]) -> Iterator[str]:
    for count, total in zip_longest(counts, totals):
        yield f"{count:,}"
        yield f"{count / total:.1%}" if total else ""


def _named_images(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"No image is {what}."
    first = ", ".join(names[:FIRST_NAMES]) + (" …" if len(names) > FIRST_NAMES else "")
    return f"{len(names):,} {'image is' if len(names) == 1 else 'images are'} {what}: {first}"


def _use(console: Console, run: Run, paths: Paths) -> None:
    """Promotes a finished run where that was asked for, and says where everything is and what comes next."""
    say(console, "")
    pointer = current(paths)
    has_been_in_use = pointer is not None and run.id in (pointer.run, *pointer.previous)
    if run.manifest.promote and not has_been_in_use:
        _put_into_use(console, run, paths)
    if run.manifest.config.fine_tune and run.manifest.config.init_from:
        from fer_core.cli.paired import gain

        with console.status("Comparing it with the model that it started from …"):
            say(console, gain(run, paths))
    say(console, f"Model:    {run.model_h5}")
    say(console, f"Labels:   {run.labels_json}")
    say(console, f"History:  {run.history_csv}")
    say(console, f"Plots:    {run.plots}")
    say(console, f"Figures:  {run.evaluation_json}")
    say(console, f"Next:     {command('--history')} compares all runs; --recipe NAME trains another network.")


def _put_into_use(console: Console, run: Run, paths: Paths) -> None:
    """What is trained is used from now on; that it is worse than the model before it is only said."""
    try:
        before = find_model(None, paths)
    except ArtifactError:  # there is none, or it is broken
        before = None
    promotion = promote(paths, run)
    say(console, promotion.sentence)
    if not promotion.promoted or before is None:
        return
    from fer_core.cli.paired import setback

    with console.status(f"Comparing it with {before.name} …"):
        message = setback(run, before, paths)
    if message:
        say(console, message)


class Display:
    """Is called with what a training reports. Use as a context manager, so that the bar is cleared at the end."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic):
        self._console, self._clock = console, clock
        columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = None
        self._last_line = clock()
        self._pace: list[float] = []

    def __enter__(self) -> "Display":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, kind: str, fields: dict[str, Any]) -> None:
        """Shows one event, progress or epoch."""
        if kind == "event":
            say(self._console, fields["text"])
        elif kind == "epoch":
            self._pace.append(fields["seconds"])
            self._last_line = self._clock()
            say(self._console, epoch_line(fields))
        elif self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("")
            text = f"epoch {fields['epoch']}/{fields['epochs']}  loss {fields['loss']:.3f}  {self._pace_text(fields)}"
            self._bar.update(self._task, completed=fields["step"], total=fields["steps"], description=text)
        elif self._clock() - self._last_line >= LINE_SECONDS:
            self._last_line = self._clock()
            step = f"epoch {fields['epoch']:>3}  step {fields['step']:,} of {fields['steps']:,}"
            say(self._console, f"{step}  loss {fields['loss']:.4f}  {self._pace_text(fields)}")

    def _pace_text(self, fields: dict[str, Any]) -> str:
        """With the time left, by the pace of the last epochs; the first one has none before it."""
        text = f"accuracy {fields['accuracy']:.1%}  {fields['images_per_second']:,.0f} images/s"
        if not self._pace:
            return text
        epochs = fields["epochs"] - fields["epoch"] + 1 - fields["step"] / fields["steps"]
        return f"{text}  at most {duration(fmean(self._pace[-3:]) * epochs)} left"
