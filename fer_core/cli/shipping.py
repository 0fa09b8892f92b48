"""Makes a shipped model of a finished run.

    python -m fer_core.cli.shipping RUN_FOLDER HISTORY_FOLDER models/shipped/NAME [--int8]

With --int8 its only LiteRT export is the smaller one, which it is then read with.
A shipped model is a run folder in git, with a model card. What only concerns the machine that trained it stays behind:
paths, host, checkpoint, logs.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from fer_core.errors import ArtifactError, FerError
from fer_core.evaluation.analysis import Analysis
from fer_core.evaluation.model_card import ModelCard, card_text, machine
from fer_core.paths import shipped_models
from fer_core.store.artifacts import MANIFEST_ATTRIBUTE, for_older_keras
from fer_core.store.export import ensure_litert
from fer_core.store.files import file_sha256, read_json, replacing, write_atomically, write_json
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run
from fer_core.store.runtimes import cost, latency_ms
from fer_core.training.starting import short_name

_COPIED = ("labels.json", "training_images.bin", "model.tflite", "model_int8.tflite")
_COLOURS = 128
"""Of plots, which take a third of the room that way."""


def ship(run: Run, folder: Path, *, only_int8: bool = False) -> None:
    """Writes the shipped form of a finished and analysed run into `folder`, which must not exist.

    Raises ArtifactError.
    """
    if run.state.status != "SUCCEEDED" or not ensure_litert(run):
        raise ArtifactError(f"Run {run.id} is not finished, or has no LiteRT export.", hint="Finish it with --resume.")
    analysis = _analysis(run.evaluation_json)
    if folder.exists():
        raise ArtifactError(f"{folder} exists already.", hint="Remove it first, or choose another name.")
    folder.mkdir(parents=True)
    manifest = _as_analysed(_without_paths(run.manifest), analysis, next(_other_analyses(run, "int8"), None))
    manifest = manifest.completed({"litert": None}) if only_int8 else manifest
    write_atomically(folder / "manifest.json", manifest.to_json())
    _copy_model(run.model_h5, folder / "model.h5", manifest)
    write_json(folder / "model.json", for_older_keras(read_json(run.architecture_json, "network")))
    left_out = run.model_tflite if only_int8 else None
    for path in (run.folder / name for name in _COPIED):
        if path != left_out and (path != run.model_int8 or path.is_file()):
            shutil.copyfile(path, folder / path.name)
    # Without the heartbeats, which only mattered while it was trained and are most of the lines.
    lines = run.metrics_jsonl.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if json.loads(line)["kind"] != "progress")
    write_atomically(folder / "metrics.jsonl", kept)
    (folder / "plots").mkdir()
    for path in run.plots.glob("*.png"):
        with Image.open(path) as plot:
            plot.convert("RGB").quantize(_COLOURS).save(folder / "plots" / path.name, optimize=True)
    shutil.copyfile(run.history_csv, folder / "history.csv")
    _write_reports(run, folder)
    write_atomically(folder / "README.md", card_text(_model_card(run, Run(folder, folder), analysis)))


def _analysis(path: Path) -> Analysis:
    try:
        return Analysis.from_json(read_json(path, "evaluation"))
    except ArtifactError as error:
        hint = "Analyse the run first: `python realtime_emotion_detector.py --analyze --model RUN`."
        raise ArtifactError(f"{path} cannot be shipped. {error}", hint=hint) from error


def _other_analyses(run: Run, form: str) -> Iterator[Analysis]:
    """Gives the analyses of the same images over several views ("*views") or in "int8"."""
    name = f"analyses/{run.id}-{file_sha256(run.model_h5)[:8]}-{form}"
    return (_analysis(path / "evaluation.json") for path in run.folder.parents[1].glob(name))


def _as_analysed(manifest: Manifest, analysis: Analysis, in_int8: Analysis | None) -> Manifest:
    """A training that left the test images out has scores of others: those of the analysis take their place."""
    scores = {name: getattr(analysis.evaluation, name, value) for name, value in manifest.scores.items()}
    int8 = manifest.int8
    if int8 and in_int8:
        int8 = int8.model_copy(update={"accuracy": in_int8.evaluation.accuracy})
    return manifest.completed({"scores": scores, "int8": int8})


def _model_card(run: Run, shipped: Run, analysis: Analysis) -> ModelCard:
    models = [path for path in (shipped.model_tflite, shipped.model_int8) if path.is_file()]
    costs = cost(shipped, export=run.model_tflite)
    return ModelCard(
        name=shipped.folder.name,
        manifest=shipped.manifest,
        analysis=analysis,
        over_views=max(_other_analyses(run, "*views"), key=lambda found: found.views, default=None),
        in_int8=next(_other_analyses(run, "int8"), None),
        parameters=costs.parameters,
        flops=costs.flops,
        milliseconds={path.name: latency_ms(path) for path in models},
        machine=machine(),
        sizes={path.name: path.stat().st_size for path in (shipped.model_h5, *models)},
        teachers=[_teacher(run_id) for run_id in shipped.manifest.teachers or ()],
        teachers_runs=_teachers_runs(run),
    )


def _teachers_runs(run: Run) -> list[Manifest]:
    """Returns the manifests of the teachers that are not shipped and lie where the run does, and of theirs; the oldest
    first."""
    found: dict[str, Manifest] = {}
    names = list(run.manifest.teachers or ())
    while names:
        name = names.pop()
        teacher = Run(run.folder.parent / name, run.history)
        if name not in found and _teacher(name) == name and teacher.folder.is_dir():
            found[name] = teacher.manifest
            names += teacher.manifest.teachers or ()
    return sorted(found.values(), key=lambda manifest: (manifest.created_utc, manifest.run_id))


def _teacher(run_id: str) -> str:
    """Returns the name of the model that came of a run: that by which it is shipped, where it is."""
    names = (folder.name for folder in shipped_models() if Run(folder, folder).manifest.run_id == run_id)
    return next(names, run_id)


def _without_paths(manifest: Manifest) -> Manifest:
    """Models are named by their runs, or by their file where they have none; `teachers` says exactly which ones."""
    name, config = Path(manifest.data_source or "").name, manifest.config
    models = {
        "init_from": config.init_from and short_name(Path(config.init_from)),
        "teacher": tuple(short_name(Path(model)) for model in config.teacher),
    }
    votes = "ferplus" if config.votes not in (None, "none") else config.votes
    config = config.model_copy(update={"data": name, "more_images": None, "exclude": None, "votes": votes, **models})
    return manifest.completed({"config": config, "data_source": name})


def _copy_model(source: Path, target: Path, manifest: Manifest) -> None:
    """Into a new file: an attribute that is replaced in place can still be read in the bytes of the old file."""
    import h5py

    with replacing(target) as temporary, h5py.File(source, "r") as old, h5py.File(temporary, "w") as new:
        network = json.dumps(for_older_keras(json.loads(old.attrs["model_config"])))
        new.attrs.update(dict(old.attrs) | {MANIFEST_ATTRIBUTE: manifest.to_json(), "model_config": network})
        for name in old:
            old.copy(name, new)


def _write_reports(run: Run, folder: Path) -> None:
    evaluation = read_json(run.evaluation_json, "evaluation")
    write_json(folder / "evaluation.json", evaluation | {"model_sha256": file_sha256(folder / "model.h5")})
    audit = read_json(run.audit_json, "audit")
    write_json(folder / "audit.json", audit | {"source": Path(audit["source"]).name})
    state = json.loads(run.state.model_dump_json())
    write_json(folder / "state.json", state | {"host": None, "pid": None})


if __name__ == "__main__":
    try:
        run, history, target, *flags = sys.argv[1:]
        ship(Run(Path(run), Path(history)), Path(target), only_int8="--int8" in flags)
    except FerError as error:
        sys.exit(f"{error} {error.hint}")
