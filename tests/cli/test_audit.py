"""`--audit-labels`: folds are trained once, labels are listed, and no model comes of it."""

from types import SimpleNamespace

import pandas as pd

from fer_core.cli import audit
from fer_core.cli.train import main
from fer_core.config import TrainConfig
from fer_core.store.runs import create_run


def test_labels_are_audited_by_folds_that_are_trained_once_and_no_model_is_in_use_afterwards(paths, monkeypatch, capfd):
    monkeypatch.setenv("FER_CACHE_DIR", str(paths.cache))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(audit, "FOLDS", 2)
    settings = ["--data=sample", "--sample-per-class=15", "--recipe=smoke", "--epochs=1"]
    settings += ["--adjust-prior", "--no-score-test"]  # which need the validation images that it does without
    for _ in range(2):
        main(["--audit-labels", *settings, f"--models-dir={paths.models}", f"--history-dir={paths.history}"])
    output = capfd.readouterr().out
    assert output.count("Preparing Keras") == 2
    assert output.count("of 84 labels are suspicious") == 2
    folder = paths.models / "audits" / "sample"
    table = pd.read_csv(folder / "suspicious_labels.csv")
    assert list(table) == ["name", "label", "confidence", "prediction", "probability"]
    assert (table["label"] != table["prediction"]).all() and table["confidence"].is_monotonic_increasing
    page = (folder / "audit.html").read_text(encoding="utf-8")
    assert f"Suspicious labels: {len(table)}" in page
    folds = list((folder / "runs").iterdir())
    assert len(folds) == 2
    assert [path for fold in folds for name in ("*.tflite", "plots", "audit.json") for path in fold.glob(name)] == []
    assert not (paths.models / "current.json").exists() and not (paths.models / "runs").exists()


def test_a_fold_whose_epochs_were_planned_by_time_goes_on(paths):
    settings, images = TrainConfig(time_budget="1h"), SimpleNamespace(split_fingerprint="of these")
    run = create_run(paths, settings)
    plan = {"epochs": 7, "seconds_per_epoch": 1.0, "budget_seconds": 3600.0, "end_seconds": 1.0}
    run.update_manifest(config=settings.model_copy(update={"epochs": 7}), plan=plan)
    assert audit._is_of(run, settings, images)
    assert not audit._is_of(run, settings.model_copy(update={"seed": 1}), images)
