"""What a retraining is asked for, and which settings its run gets. Light: a job's arguments are checked with it.

`begin_retraining.py` makes the run, `deciding.py` judges the finished one.
"""

from typing import Annotated, Any

from pydantic import Field, model_validator

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import ConfigError, did_you_mean
from fer_core.recipes import fitted_to, recipe_config, starting_config
from fer_core.store.manifest import Manifest

_OF_THE_SPLIT = (
    *("fold", "test_split", "validation", "validation_fraction", "sample_per_class", "skip_bad_images", "seed"),
    *("label_map", "votes", "vote_classes", "vote_target"),
    *("faces", "face_detector", "align_faces", "without_face", "several_faces"),
)
"""With other ones, the images that test could be others than those of the model in use."""
_MIRRORING = ("flip", "alternating_flip")
_MOST_VIEWS_MOVED = 0.04
"""Of a teacher's fixed views (`fer_core.evaluation.predict`), by two of 48 pixels."""
_DECIDED_HERE = {name: f"Give {name} itself." for name in ("data", "init_from", "seed")} | {
    "more_images": "The images of the inbox are added by themselves.",
    "score_test": "A retraining is judged on the test images.",
}


class RetrainSpec(Settings):
    """What a retraining is to do. Scores and differences of scores are 0..1."""

    recipe: str | None = None
    """Train this recipe. Default: the settings of the model in use."""
    init_from: str | None = None
    """Start from these weights: 'current' (the model in use), a run id or a .h5 file. Default: from scratch."""
    data: str | None = None
    """Images, as for a training. Default: those that the model in use was trained on."""
    min_new_images: Annotated[int, Field(ge=0)] = 0
    """Do nothing unless the inbox has so many images that the model in use was not trained on."""
    settings: dict[str, Any] = {}
    """Settings of the training, such as {"epochs": 20}, over the recipe's or the model's own."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Default: that of the model in use. Another one splits data without a test part of its own in another way."""

    min_gain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Promote only if the interval of the gain in macro F1 lies above this."""
    max_recall_loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Promote only if no class's recall has an interval that lies wholly further below zero than this."""
    max_calibration_loss: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Promote only if the expected calibration error rises by no more than this."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of these intervals."""
    max_reload_difference: Annotated[float, Field(ge=0, lt=1)] = 1e-6
    """Promote only if the saved file, loaded by another process, scores what was recorded, but for this."""

    @model_validator(mode="after")
    def _names_are_known(self) -> "RetrainSpec":
        if self.recipe is not None:
            recipe_config(self.recipe)
        for name in self.settings:
            if name not in TrainConfig.model_fields:
                raise ConfigError(f"There is no setting {name!r}.", hint=did_you_mean(name, TrainConfig.model_fields))
            if name in _DECIDED_HERE:
                raise ConfigError(f"{name} is no setting to give in settings.", hint=_DECIDED_HERE[name])
        return self


def challenger_config(spec: RetrainSpec, champion: Manifest | None) -> TrainConfig:
    """Returns the settings to train with, all but data, new images and starting weights; raises ConfigError.

    A champion's own teachers are left out: its recipe is repeated, not its teachers, which may be gone by now. What
    their views did is left to the augmentation then. So are votes that only soften the labels. What decides which
    images test is the champion's (the model in use), also where another recipe is trained. Only `validation='test'` is
    not taken over: a model that was chosen on the test images cannot be judged on them.
    """
    settings = spec.settings
    repeats = champion is not None and spec.recipe is None
    base = champion.config if repeats else starting_config(spec.recipe, settings.get("network"))
    values = fitted_to(base, settings.get("epochs")).model_dump()
    if repeats:
        values |= _without_teachers(base, settings)
    if champion is not None:
        values |= {name: getattr(champion.config, name) for name in _OF_THE_SPLIT}
    if values["vote_target"] == "softened":  # the labels are the data's own, which need not be FER-2013 here
        values |= {"votes": None, "vote_target": "majority"}
    if values["validation"] == "test":
        values["validation"] = "split"
    if spec.init_from is None:
        values["train_layers"] = "all"
        values["fine_tune"] = base.fine_tune and base.init_from is None  # from the network's own pretrained weights
    values |= {"data": None, "more_images": None, "init_from": spec.init_from, "score_test": True}
    if spec.seed is not None:
        values["seed"] = spec.seed
    # Another network does not know the options of the base's own.
    own_options = base.network_options if settings.get("network", base.network) == base.network else {}
    values |= {"network_options": own_options} | settings
    if isinstance(given := values["network_options"], dict):
        values["network_options"] = own_options | given
    return networks.with_all_options(TrainConfig.checked(values, where="settings"))


def _without_teachers(config: TrainConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns what stands for the teachers.

    Half of their views are mirrored and most are moved, so that such a training has no mirroring of its own and may do
    without shifts; one without them needs both.
    """
    alone: dict[str, Any] = {"teacher": (), "teacher_views": 0}
    if not config.teacher_views or settings.get("teacher_views"):
        return alone
    alone["shift"] = max(config.shift, _MOST_VIEWS_MOVED)
    return alone if settings.keys() & {*_MIRRORING} else alone | {"alternating_flip": True}
