"""`python train_emotion_model.py`: looks at the data, trains, says what came of it, and puts the model into use."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fer_core import networks, recipes
from fer_core.cli.arguments import Request, command, parse
from fer_core.cli.backend import choose_backend
from fer_core.cli.native_messages import send_native_messages_to
from fer_core.cli.output import Output, say
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, ConfigError, DatasetError
from fer_core.interruption import signals_wait
from fer_core.paths import Paths
from fer_core.store.export import ensure_litert
from fer_core.store.files import write_json
from fer_core.store.litert import native_messages_hidden
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.promotion import current, promote
from fer_core.store.run import Run
from fer_core.store.runs import create_run

if TYPE_CHECKING:
    import numpy as np

    from fer_core.data.audit import Audit
    from fer_core.data.dataset import Dataset


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    console = Output()
    if request.wants == "list-recipes":
        _list_recipes(console)
    elif request.wants == "history":
        _show_history(console, request.paths)
    elif request.wants == "audit":
        _audit_only(console, request)
    elif request.wants == "ensemble":
        _average(console, request)
    elif request.nothing_to_resume:
        raise ConfigError("There is no unfinished run to go on with.", hint=f"`{command('--history')}` lists all runs.")
    else:
        _train(console, request)


def _list_recipes(console: Console) -> None:
    for name, make in recipes.RECIPES.items():
        config = make()
        text = (make.__doc__ or "").strip().partition("\n")[0]
        say(console, f"{name:<14}{text}")
        say(
            console,
            f"{'':<14}network {config.network}, {config.optimizer} {config.learning_rate:g}, "
            f"at most {config.epochs} epochs, batch {config.batch_size}",
        )
    console.print(f"\nTrain one: {command('--recipe', 'NAME', '--data', 'PATH')}", highlight=False, soft_wrap=True)


def _show_history(console: Console, paths: Paths) -> None:
    from fer_core.cli.histories import histories
    from fer_core.evaluation.figures import overview_figure
    from fer_core.evaluation.look import save
    from fer_core.training.history import print_histories

    found = histories(paths)
    print_histories(console, found)
    with_rows = [history for history in found if history.curve]
    if with_rows:
        path = paths.history / "overview.png"
        save(overview_figure(with_rows), path)
        console.print(f"Drawn: {path}", highlight=False, soft_wrap=True)


def _audit_only(console: Console, request: Request) -> None:
    from fer_core.data.audit import audit
    from fer_core.data.dataset import UnsplitError
    from fer_core.evaluation.report import print_audit

    config = request.config.model_copy(update={"skip_bad_images": True})
    try:
        _, found = _checked_data(console, config, request.paths)
    except UnsplitError as error:
        found = audit(error.images)
        print_audit(console, found)
        _write_audit(console, found, request.paths)
        raise
    _write_audit(console, found, request.paths)


def _write_audit(console: Console, found: "Audit", paths: Paths) -> None:
    folder = _audit_folder(paths, found.source)
    _save_audit(found, folder / "audit.json", folder / "class_distribution.png")
    say(console, f"Written: {folder / 'audit.json'} and {folder / 'class_distribution.png'}")


def _average(console: Console, request: Request) -> None:
    """Makes an ensemble of finished runs, on the data of the first."""
    from fer_core.training.members import finished_members

    members = finished_members(request.ensemble, request.paths)
    dataset, audit = _checked_data(console, members[0].manifest.config, request.paths)
    choose_backend(None)
    from fer_core.evaluation.report import print_scores
    from fer_core.training.ensemble import begin_ensemble, finish_ensemble

    run = begin_ensemble(members, dataset, request.paths, promote=request.promote)
    run.plots.mkdir(exist_ok=True)
    _save_audit(audit, run.audit_json, run.plots / "class_distribution.png")
    send_native_messages_to(run.log_txt)
    say(console, f"Run {run.id} in {run.folder}: the mean of {', '.join(member.id for member in members)}.")
    evaluation = finish_ensemble(run, members, dataset)
    print_scores(console, evaluation)
    _use(console, run, request.paths)


def _train(console: Console, request: Request) -> None:
    from fer_core.training.members import check_is_no_ensemble
    from fer_core.training.record import check_same_config, record_data

    run = request.resume
    if run is not None:
        check_same_config(networks.with_all_options(run.manifest.config), networks.with_all_options(request.config))
        if run.state.status == "SUCCEEDED":
            _check_no_more_epochs(run, request.config.epochs)
            say(console, f"Run {run.id} is finished.")
            _complete(console, run)
            _use(console, run, request.paths)
            return
        check_is_no_ensemble(run)
    dataset, audit = _checked(console, request)
    run = run or _new_run(request, dataset)
    with run.hold():
        record_data(run, dataset)
        if run.manifest.config.epochs != request.config.epochs:
            run.update_manifest(config=run.manifest.config.model_copy(update={"epochs": request.config.epochs}))
            run.update_state(epochs=request.config.epochs)
        run.plots.mkdir(exist_ok=True)
        _save_audit(audit, run.audit_json, run.plots / "class_distribution.png")
    say(console, f"Run {run.id} in {run.folder}. Preparing Keras …")
    _fit(console, run, dataset, request.paths)
    _use(console, run, request.paths)


def _check_no_more_epochs(run: Run, epochs: int) -> None:
    own = run.manifest.config.epochs
    if epochs > own:
        raise ConfigError(
            f"Run {run.id} is finished, after {run.state.epoch} of {own} epochs; it gets no more.",
            hint=f"Start a new run from its weights: {command('--init-from', run.id)} …",
        )


def _checked(console: Console, request: Request) -> tuple["Dataset", "Audit"]:
    """Returns the data and its audit; all that can be wrong is found here, before Keras is imported."""
    from fer_core.data.checks import UnreadableImagesError
    from fer_core.data.default_source import find_source
    from fer_core.training.class_weights import class_weights
    from fer_core.training.distillation import check_teachers
    from fer_core.training.starting import starting_model

    config = request.config
    networks.options(config)
    if config.init_from and (request.resume is None or not request.resume.checkpoint.is_dir()):
        starting_model(config.init_from, request.paths)
    for name in config.teacher:
        starting_model(name, request.paths, flag="--teacher")
    try:
        dataset, audit = _checked_data(console, config, request.paths)
    except UnreadableImagesError as error:
        path = _audit_folder(request.paths, find_source(config.data, os.environ)) / "audit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"unreadable": [asdict(image) for image in error.bad_images]})
        raise DatasetError(f"{error} All are named in {path}.", hint=error.hint) from None
    class_weights(config, dataset.train.labels, dataset.labels)
    check_teachers(config, dataset, request.paths)
    return dataset, audit


def _checked_data(console: Console, config: TrainConfig, paths: Paths) -> tuple["Dataset", "Audit"]:
    from fer_core.data.audit import audit
    from fer_core.data.dataset import load_dataset
    from fer_core.evaluation.report import print_audit

    side, channels = networks.input_shape(config)
    with native_messages_hidden(), console.status("Looking at the images …") as status:
        dataset = load_dataset(config, paths, side=side, channels=channels, report=status.update)
    found = audit(dataset)
    print_audit(console, found)
    for note in dataset.notes:
        say(console, note)
    return dataset, found


def _new_run(request: Request, dataset: "Dataset") -> Run:
    """Returns a run whose settings name data and starting weights so that --resume finds them from anywhere."""
    from fer_core.training.history import HISTORY_HEADER
    from fer_core.training.starting import with_fixed_models

    config, more = networks.with_all_options(request.config), request.config.more_images
    found_again = {
        "data": dataset.source,
        "more_images": str(Path(more).expanduser().resolve()) if more else None,
    }
    return create_run(
        request.paths,
        with_fixed_models(config, request.paths).model_copy(update=found_again),
        recipe=request.recipe,
        promote=request.promote,
        history_header=HISTORY_HEADER,
    )


def _fit(console: Console, run: Run, dataset: "Dataset", paths: Paths) -> None:
    from fer_core.cli.display import Display
    from fer_core.evaluation.report import print_evaluation

    choose_backend(run.manifest.backend)
    try:
        send_native_messages_to(run.log_txt)
        with signals_wait(), Display(console) as display:
            from fer_core.training.train import train

            result = train(run, dataset, paths=paths, report=display)
    except KeyboardInterrupt:
        resume = command("--resume", run.id, *_paths_flags(paths))
        say(console, f"\nInterrupted after epoch {run.state.epoch}. Nothing before it is lost. Go on with: {resume}")
        raise
    print_evaluation(
        console,
        result.evaluation,
        images=(len(dataset.train), len(dataset.validation or ())),
        last_epoch=result.progress.rows[-1],
        kept_epoch=result.kept_epoch,
    )


def _use(console: Console, run: Run, paths: Paths) -> None:
    """Promotes a finished run where that was asked for, and says where everything is and what comes next."""
    manifest = run.manifest
    say(console, "")
    if manifest.promote and not _has_been_in_use(run, paths):
        _put_into_use(console, run, paths)
    say(console, f"Model:    {run.model_h5}")
    say(console, f"Labels:   {run.labels_json}")
    say(console, f"History:  {run.history_csv}")
    say(console, f"Plots:    {run.plots}")
    say(console, f"Figures:  {run.evaluation_json}")
    say(console, f"Next:     {command('--history')} compares all runs; --recipe NAME trains another network.")


def _put_into_use(console: Console, run: Run, paths: Paths) -> None:
    """What is trained is used from now on; that it is worse than the model before it is only said."""
    before = _in_use(paths)
    promotion = promote(paths, run)
    say(console, promotion.sentence)
    if not promotion.promoted or before is None:
        return
    from fer_core.training.setback import setback

    with console.status(f"Comparing it with {before.name} …"):
        sentence = setback(run, before, paths, ask=partial(_answers, paths))
    if sentence:
        say(console, sentence)


def _in_use(paths: Paths) -> ModelFiles | None:
    """Returns the model in use, if there is one and it is whole."""
    try:
        return find_model(None, paths)
    except ArtifactError:
        return None


def _answers(paths: Paths, model: ModelFiles, dataset: "Dataset") -> "np.ndarray":
    from fer_core.evaluation.predict import predict_side_by_side
    from fer_core.live.classifier import make_classifier
    from fer_core.training.machine import available_cores

    classifiers = [make_classifier(model, paths).classify for _ in range(available_cores())]
    return predict_side_by_side(classifiers, dataset.test)


def _complete(console: Console, run: Run) -> None:
    """A run that was trained without TensorFlow gets its LiteRT export on the first machine that has it."""
    if run.manifest.litert is None and ensure_litert(run):
        say(console, f"Its LiteRT export is made: {run.model_tflite}")


def _has_been_in_use(run: Run, paths: Paths) -> bool:
    pointer = current(paths)
    return pointer is not None and run.id in (pointer.run, *pointer.previous)


def _audit_folder(paths: Paths, source: str) -> Path:
    return paths.models / "audits" / (Path(source).stem or "data")


def _save_audit(audit: "Audit", json_path: Path, plot_path: Path) -> None:
    from fer_core.evaluation.figures import class_distribution_figure
    from fer_core.evaluation.look import save

    json_path.parent.mkdir(parents=True, exist_ok=True)
    write_json(json_path, audit.to_json())
    save(class_distribution_figure({part.name: part.images for part in audit.parts}, title=audit.name), plot_path)


def _paths_flags(paths: Paths) -> list[str]:
    """The folders, where they are not what they would be without flags."""
    usual = Paths.from_environment()
    flags = [("--models-dir", paths.models, usual.models), ("--history-dir", paths.history, usual.history)]
    return [part for flag, path, default in flags if path != default for part in (flag, str(path))]
