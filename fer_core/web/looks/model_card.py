"""The model card: what a model was trained on, how good it is on what, and what it must not be used for."""

from typing import Any

from fer_core.data.fer2013 import NAME as FER2013
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run
from fer_core.web.looks.run_detail import evaluation, facts
from fer_core.web.looks.run_list import id_of, run_line

LIMITS = (
    "An expression is not a feeling. The model says which of a few words people would most likely write under a "
    "picture of a face; it does not know what the person feels.",
    "Expect worse results on faces, light and cameras unlike those that it was trained on. Nobody recorded age, gender "
    "or origin of the people shown, so errors by group are not known.",
    "Do not use it to decide about people: hiring, work, school, insurance, credit, police, border, justice, health, "
    "or whether someone lies. Do not use it on people who do not know about it. In the European Union, reading "
    "emotions at work and in education is forbidden, but for medical or safety reasons.",
)
_LICENCES = {
    FER2013: "FER-2013 asks for a citation (Goodfellow et al. 2013); no licence for its pictures is known. They were "
    "collected from the web and show real people: treat them as research data.",
    "sample": "The sample's faces are drawn by this project and are under the MIT licence, like the program.",
}
_UNKNOWN = "The licence of these images is not known here: whoever brought them knows it."


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
        "licence": _UNKNOWN,
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
        "licence": _LICENCES.get(model.manifest.data_name or "", _UNKNOWN),
    }
