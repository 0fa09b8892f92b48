"""`analyse`: what a model's answers on the test images tell, saved as evaluation.json, plots and a sheet of faces.

Does not know which runtime gives the answers, and prints nothing. To read a saved analysis loads nothing heavy.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import RIGHT, Answered, Bin, with_temperature
from fer_core.evaluation.metrics import Evaluation, precision_recall, wilson_interval
from fer_core.paths import Paths
from fer_core.store.files import read_json, write_json
from fer_core.store.manifest import checked

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset
    from fer_core.evaluation.analysis_data import Classify
    from fer_core.store.model_files import ModelFiles

EVALUATION, SHEET, ANSWERS = "evaluation.json", "confidently_wrong.png", "answers.npz"
_DRAWN = ("confusion_matrix", "precision_recall", "reliability", "risk_coverage")
PLOTS = tuple(f"plots/{name}.png" for name in _DRAWN)
"""The sheet is none of them: it shows real faces, and the plots of a run are shipped with its model."""

_AGAIN = "Analyse the model again: `python realtime_emotion_detector.py --analyze`."
_ELSEWHERE = "Make room or give yourself the right to write there, or take another --models-dir."
_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Calibration(_Result):
    """How far the confidence can be believed."""

    error: float
    """Expected calibration error over 15 bins of equal width, 0..1."""
    loss: float
    """Mean cross-entropy."""
    bins: tuple[Bin, ...]


class ConfusedPair(_Result):
    """How many of the images of one class are taken for another."""

    truth: str
    predicted: str
    images: int
    of: int

    @property
    def message(self) -> str:
        """The pair in words."""
        share = self.images / max(self.of, 1)
        return f"{self.truth} is taken for {self.predicted}: {self.images:,} of {self.of:,}, {share:.1%}"


class WrongFace(_Result):
    """An image whose prediction is not its label; the confidence is that after temperature scaling."""

    name: str
    truth: str
    predicted: str
    confidence: float


class Analysis(_Result):
    """What a model's answers on one test split tell. Scores and average precision are of its own probabilities."""

    version: Literal[1] = 1
    evaluation: Evaluation
    temperature: float
    """What makes the confidence on validation images most believable."""
    temperature_from: str
    """A sentence: which images chose it."""
    before: Calibration
    after: Calibration
    answered: tuple[Answered, ...] = ()
    """From the surest images to all: how many are answered at a threshold, and how many of those are right."""
    mostly_right: Answered | None = None
    """Where 85 % of the answers are right; None where that is nowhere."""
    average_precision: dict[str, float | None]
    """By class; None for one without images."""
    confused: tuple[ConfusedPair, ...]
    """The most confused first."""
    confidently_wrong: tuple[WrongFace, ...]
    """The most confident first."""
    compared_with: str
    """A sentence: which images count as training images."""
    remark: str = ""
    """A sentence, if these are not the images or not the split of the training."""
    pixels: str = "0..255"
    """The grey values that the model was given."""
    views: int = 1
    """Of each image, over which the answers were averaged."""
    data: str
    data_fingerprint: str
    split_fingerprint: str
    seconds: float
    """From the first question to the last figure, imports not counted."""

    @model_validator(mode="after")
    def _is_of_one_set_of_classes(self) -> "Analysis":
        labels, confusion = self.evaluation.labels, self.evaluation.confusion
        widths = {len(confusion), *map(len, confusion)}
        if not labels or tuple(self.average_precision) != labels or widths != {len(labels)}:
            raise ValueError("its tables are not of the same classes")
        return self

    def to_json(self) -> dict:
        """Returns what evaluation.json holds: the evaluation, and all else as one field of it."""
        return self.evaluation.to_json() | {"analysis": self.model_dump(mode="json", exclude={"evaluation"})}

    @classmethod
    def from_json(cls, values: object) -> "Analysis":
        """Returns what `to_json` gave. Raises ArtifactError if it holds no analysis, or a field is wrong."""
        if not isinstance(values, dict) or not isinstance(values.get("analysis"), dict):
            raise ArtifactError("It holds no analysis.", hint=_AGAIN)
        fields = values["analysis"] | {"evaluation": values | {"analysis": None}}
        return checked(cls, fields, otherwise="It is no analysis of ours", hint=_AGAIN)


def analyse(
    model: "ModelFiles",
    dataset: "Dataset",
    *,
    probabilities: "Classify",
    folder: Path,
    views: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Analysis:
    """Returns the analysis of a model on the test split, and saves it with its figures in `folder`.

    Args:
        dataset: what `data_for` found; its classes may stand in another order than the model's.
        probabilities: called with the test images, and with the validation images where these are others.
        views: how many views of each image they are averaged over, to be saved with the analysis.

    Raises:
        DatasetError: data and model do not have the same classes.
        ArtifactError: the outputs are no probabilities, or the folder cannot be written to.
    """
    # Imports take seconds that are no part of the time of an analysis.
    import sklearn.metrics  # noqa: F401

    from fer_core.evaluation.analysis_data import analysis_of, confidently_wrong
    from fer_core.evaluation.analysis_figures import draw_analysis
    from fer_core.evaluation.predict import save_answers

    began = clock()
    analysis, outputs, truth = analysis_of(model, dataset, probabilities)
    try:
        faces = dataset.test.images(confidently_wrong(with_temperature(outputs, analysis.temperature), truth))
        curves = dict(zip(model.labels, precision_recall(outputs, truth), strict=True))
        draw_analysis(analysis, curves, faces, model_name=model.name, paths=[folder / name for name in (*PLOTS, SHEET)])
        save_answers(folder / ANSWERS, outputs, truth, labels=model.labels, test=dataset.test)
        analysis = analysis.model_copy(update={"seconds": round(clock() - began, 3), "views": views})
        # Last, since what is in it says that everything else is there.
        write_json(folder / EVALUATION, analysis.to_json())
    except OSError as error:
        reason = error.strerror or error
        raise ArtifactError(f"The analysis cannot be written to {folder}: {reason}.", hint=_ELSEWHERE) from error
    return analysis


def saved_analysis(
    folder: Path,
    *,
    model_sha256: str,
    data_fingerprint: str | None,
    split_fingerprint: str | None,
    labels: tuple[str, ...] | None = None,
    pixels: str | None = None,
    views: int = 1,
) -> Analysis | None:
    """Returns the analysis in `folder` if it is whole and of this model, these images and this split, else None.

    `labels` and `pixels`, where given, must be its own too: for a model from elsewhere both can be chosen.
    """
    try:
        analysis = Analysis.from_json(read_json(folder / EVALUATION, "analysis"))
    except ArtifactError:
        return None
    own = (analysis.evaluation.model_sha256, analysis.data_fingerprint, analysis.split_fingerprint)
    is_same = own == (model_sha256, data_fingerprint, split_fingerprint) and views == analysis.views
    is_same &= labels in (None, analysis.evaluation.labels) and pixels in (None, analysis.pixels)
    return analysis if is_same and all((folder / name).is_file() for name in (SHEET, *PLOTS)) else None


def analysis_folder(
    model: "ModelFiles",
    paths: Paths,
    *,
    split_fingerprint: str | None = None,
    views: int = 1,
    int8: bool = False,
    prior: float | None = None,
) -> Path:
    """Returns where the model's analysis is saved: the folder of its run, if it is analysed on the run's own images.

    Everything else gets a folder under analyses/: models from elsewhere, shipped ones (which are never written to), and
    runs on other images, over several views, in int8 or with another prior, whose own scores stay as they are.

    Args:
        split_fingerprint: of the images; None: those that the manifest names.
    """
    own = model.manifest.split_fingerprint if model.manifest else None
    is_own = split_fingerprint in (None, own)
    is_plain = is_own and views == 1 and not int8 and prior is None
    if is_plain and model.run_folder and model.run_folder.resolve().parent == (paths.models / "runs").resolve():
        return model.run_folder
    name = _IN_FILE_NAMES.sub("_", model.name).strip("._") or "model"
    marks = [model.sha256[:8]] if is_own else [model.sha256[:8], split_fingerprint[:8]]
    marks += [f"{views}views"] if views > 1 else []
    marks += ["int8"] if int8 else []
    marks += [f"prior{prior:g}"] if prior is not None else []
    return paths.models / "analyses" / "-".join([name, *marks])


def sure_sentence(analysis: Analysis) -> str:
    """Returns how many of the images can be answered so that 85 % of the answers are right, with its interval."""
    if not analysis.answered:
        return ""
    row = analysis.mostly_right
    if row is None:
        return f"At no confidence are {RIGHT:.0%} of the answers right."
    images = analysis.evaluation.images
    low, high = wilson_interval(round(row.coverage * images), images)
    return (
        f"{RIGHT:.0%} of the answers are right where the confidence is at least {row.threshold:.0%}: that is "
        f"{row.coverage:.1%} of the images ({low:.1%} to {high:.1%})."
    )
