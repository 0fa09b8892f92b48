"""The model card: what a model was trained on, how good it is on what, and what it must not be used for."""

from typing import Any

from fer_core.evaluation.model_card import LIMITS, licence_of
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run
from fer_core.web.queries.run_detail import evaluation, facts
from fer_core.web.queries.run_list import id_of, run_line


def model_card(model: ModelFiles) -> dict[str, Any]:
    """Returns what is known of a model, as plain values; of one from elsewhere that is little."""
    card: dict[str, Any] = {
        "name": model.name,
        "labels": model.labels,
        "input": f"{model.side} x {model.side} pixels, {'gray' if model.channels == 1 else 'three equal channels'}",
        "temperature": model.temperature,
        "calibrated_on": "test" if model.manifest and model.manifest.config.validation == "test" else "validation",
        "sha256": model.sha256,
        "limits": LIMITS,
        "licence": licence_of(None),
        "note": model.note,
        "run": None,
        "facts": {},
        "evaluation": None,
    }
    if model.run_folder is None or model.manifest is None:
        return card
    run = Run(model.run_folder, model.run_folder)
    return card | {
        "run": run_line(run)._asdict() | {"id": id_of(run)},
        "facts": facts(run),
        "evaluation": evaluation(run),
        "licence": licence_of(model.manifest.data_name),
    }
