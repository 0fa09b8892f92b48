"""`Analysis`: what an analysis found, as a value and as a field of evaluation.json. Light: pydantic and NumPy only."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import Bin
from fer_core.evaluation.metrics import Evaluation
from fer_core.store.manifest import checked

_AGAIN = "Analyse the model again: `python realtime_emotion_detector.py --analyze`."


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
        evaluation = Evaluation.from_json(values | {"analysis": None})
        fields = values["analysis"] | {"evaluation": evaluation}
        return checked(cls, fields, otherwise="It is no analysis of ours", hint=_AGAIN)
