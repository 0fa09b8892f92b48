"""`python train_emotion_model.py`: looks at the images, trains, reports the scores, and puts the model into use."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from fer_core import networks, recipes
from fer_core.cli.arguments import Request, command, parse
from fer_core.cli.native_messages import send_native_messages_to
from fer_core.cli.output import Output, say
from fer_core.errors import ArtifactError, ConfigError
from fer_core.interruption import signals_wait
from fer_core.paths import Paths
from fer_core.store.export import ensure_litert
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.promotion import current, promote
from fer_core.store.run import Run

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
        from fer_core.cli.histories import show_histories

        show_histories(console, request.paths)
    elif request.wants == "audit":
        from fer_core.cli.audits import audit_only

        audit_only(console, request.config, request.paths)
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
    say(console, f"\nTrain one: {command('--recipe', 'NAME', '--data', 'PATH')}")


def _average(console: Console, request: Request) -> None:
    """Makes an ensemble of finished runs, on the data of the first."""
    from fer_core.cli.audits import audited_data
    from fer_core.evaluation.report import print_scores
    from fer_core.training.ensemble import begin_ensemble, finish_ensemble, finished_members
    from fer_core.training.machine import choose_backend
    from fer_core.training.train import save_audit

    members = finished_members(request.ensemble, request.paths)
    dataset, audit = audited_data(console, members[0].manifest.config, request.paths)
    choose_backend()
    run = begin_ensemble(members, dataset, request.paths, promote=request.promote)
    save_audit(audit, run.audit_json, run.plots)
    send_native_messages_to(run.log_txt)
    say(console, f"Run {run.id} in {run.folder}: the mean of {', '.join(member.id for member in members)}.")
    evaluation = finish_ensemble(run, members, dataset)
    print_scores(console, evaluation)
    _use(console, run, request.paths)


def _train(console: Console, request: Request) -> None:
    from fer_core.cli.audits import audited_data
    from fer_core.training.train import begin_run

    run, paths, epochs = request.resume, request.paths, request.config.epochs
    if run is not None and _is_finished(run, request):
        say(console, f"Run {run.id} is finished.")
        if run.manifest.litert is None and ensure_litert(run):
            # It was trained without TensorFlow; this is the first machine that has it.
            say(console, f"Its LiteRT export is made: {run.model_tflite}")
    else:
        resumes = run is not None and run.checkpoint.is_dir()
        dataset, audit = audited_data(console, request.config, paths, resumes=resumes)
        if run is None:
            run = begin_run(request.config, dataset, paths, recipe=request.recipe, promote=request.promote)
        try:
            train_and_print(console, run, paths, dataset=dataset, audited=audit, epochs=epochs)
        except KeyboardInterrupt:
            resume = command("--resume", run.id, *_paths_flags(paths))
            epoch = run.state.epoch
            say(console, f"\nInterrupted after epoch {epoch}. Nothing before it is lost. Go on with: {resume}")
            raise
    _use(console, run, paths)


def _is_finished(run: Run, request: Request) -> bool:
    """Returns whether the run to resume is finished. Raises ConfigError if other settings or more epochs are asked."""
    from fer_core.training.record import check_is_no_ensemble, check_same_config

    manifest, state = run.manifest, run.state
    own, asked = networks.with_all_options(manifest.config), networks.with_all_options(request.config)
    check_same_config(own, asked)
    if state.status != "SUCCEEDED":
        check_is_no_ensemble(run.id, manifest.members)
        return False
    if asked.epochs > own.epochs:
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
    dataset: "Dataset",
    audited: "Audit | None" = None,
    epochs: int | None = None,
) -> None:
    """Trains a run, shows how far it is, and prints its scores."""
    from fer_core.cli.display import Display
    from fer_core.evaluation.report import print_evaluation
    from fer_core.training.train import train

    def begin() -> None:
        say(console, f"Run {run.id} in {run.folder}. Preparing Keras …")
        send_native_messages_to(run.log_txt)

    given = {"audited": audited, "epochs": epochs, "begin": begin}
    with signals_wait(), Display(console) as display:
        result = train(run, dataset, paths=paths, report=display, **given)
    print_evaluation(
        console,
        result.evaluation,
        images=(len(dataset.train), len(dataset.validation or ())),
        last_epoch=result.progress.rows[-1],
        kept_epoch=result.kept_epoch,
    )


def _use(console: Console, run: Run, paths: Paths) -> None:
    """Promotes a finished run where that was asked for, and says where everything is and what comes next."""
    say(console, "")
    pointer = current(paths)
    has_been_in_use = pointer is not None and run.id in (pointer.run, *pointer.previous)
    if run.manifest.promote and not has_been_in_use:
        _put_into_use(console, run, paths)
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
    from fer_core.training.comparing import setback

    with console.status(f"Comparing it with {before.name} …"):
        sentence = setback(run, before, paths, ask=partial(_answers, paths))
    if sentence:
        say(console, sentence)


def _answers(paths: Paths, model: ModelFiles, dataset: "Dataset") -> "np.ndarray":
    from fer_core.evaluation.predict import predict_side_by_side
    from fer_core.live.classifier import make_classifier
    from fer_core.resources import available_cores

    classifiers = [make_classifier(model, paths).classify for _ in range(available_cores())]
    return predict_side_by_side(classifiers, dataset.test)


def _paths_flags(paths: Paths) -> list[str]:
    """The folders, where they are not what they would be without flags."""
    usual = Paths.from_environment()
    flags = [("--models-dir", paths.models, usual.models), ("--history-dir", paths.history, usual.history)]
    return [part for flag, path, default in flags if path != default for part in (flag, str(path))]
