"""`TrainConfig`: everything that decides a training, as one frozen value.

The same object is the command line of the script, the arguments of a job, a TOML file, the run's manifest and what a
search returns. A new setting is one field here. Does not know networks, files or Keras.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Searchable:
    """The range that a search may use for a setting, where it is narrower than what is allowed."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple = ()
    when: tuple[str, tuple] | None = None
    """Only of use while another setting has one of these values: ("optimizer", ("adamw", "sgd"))."""


RENAMED = {
    "fade": "annealing",
    "mixup_part": "mixup_probability",
    "side": "image_size",
    "train_sides": "progressive_sizes",
}
"""Former names of settings, which are read until the next release: flags, TOML files, manifests, arguments of jobs."""


def with_present_names(values: dict[str, Any]) -> dict[str, Any]:
    """Returns settings with their present names as keys, also where they stand in `settings` or `start_from`."""
    found = {RENAMED.get(name, name): value for name, value in values.items()}
    if isinstance(found.get("settings"), dict):
        found["settings"] = with_present_names(found["settings"])
    if isinstance(found.get("start_from"), list | tuple):
        found["start_from"] = [with_present_names(one) if isinstance(one, dict) else one for one in found["start_from"]]
    if isinstance(found.get("space"), list | tuple):
        found["space"] = [RENAMED.get(name, name) if isinstance(name, str) else name for name in found["space"]]
    return found


class Settings(BaseModel):
    """A frozen set of settings that refuses names it does not know, and knows former ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, values: Any) -> Any:
        return with_present_names(values) if isinstance(values, dict) else values

    @classmethod
    def checked(cls, values: dict[str, Any], *, where: str = "") -> "Settings":
        """Returns the settings, or raises ConfigError that names each field that is wrong (with "did you mean")."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise config_error(error, cls, where) from None


Fraction = Annotated[float, Field(ge=0, lt=1)]
FilterCounts = tuple[Annotated[int, Field(ge=1, le=2048)], ...]
VoteTarget = Literal["majority", "probability", "cross-entropy", "softened"]
MOST_EPOCHS = 100_000
_HOURS_MINUTES_SECONDS = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"


_FINE_TUNED = ("fine_tune", (True,))


class TrainConfig(Settings):
    """How one model is trained. The defaults are those that every recipe starts from."""

    data: str | None = None
    """Images: a folder, zip, tar, fer2013.csv, 'kaggle', 'sample'. Default: $FER_DATA, ./data, ./data_train."""
    validation: Literal["split", "test", "none"] = "split"
    """Which images choose the best epoch: some held out of train, the test images (the scores say so), or none."""
    validation_fraction: Annotated[float, Field(gt=0, lt=0.9)] = 0.1
    """How much of train is held out, where the data has no validation part of its own."""
    test_split: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    """How much is test, where the data is one folder of classes."""
    sample_per_class: Annotated[int, Field(ge=10, le=100_000)] = 200
    """Drawn faces per emotion with --data sample."""
    fold: Annotated[str, Field(pattern=r"^[1-9][0-9]?/[1-9][0-9]?$")] | None = None
    """Cross-validation: 2/5 tests on the second of five folds of the training images, and trains on the others. The
    data's own test and validation parts are not used. A fold is the same for every seed, and copies lie in one."""
    exclude: str | None = None
    """A file of names of images, one in each line, that neither train nor validate (`--audit-labels` finds some)."""
    skip_bad_images: bool = False
    """Go on without the images that cannot be read, and record them."""
    label_map: str | None = None
    """What classes are read as: a=b,c=d (b= drops a class), a file of such, affectnet, fer2013, rafdb, expw or ckplus
    (what their numbers mean), or none. Without it: by what emotions are called (anger is angry)."""
    votes: str | None = None
    """FER+ votes as labels of FER-2013: its fer2013new.csv, or 'ferplus' to download it; 'none' ignores one beside."""
    vote_classes: Literal[7, 8] = 8
    """With votes: 8 classes, or 7 without contempt."""
    vote_target: VoteTarget = "majority"
    """With votes, trained on: the majority, an emotion drawn by its votes in each epoch, or the shares of the votes;
    softened: the data's own labels, each half of what is trained on, beside what label such votes speak for."""
    faces: Literal["auto", "given", "detect"] = "auto"
    """Faces in the pictures: given (the boxes of the data, else whole pictures), detect (looked for), or auto: by the
    boxes, else by a look at some pictures: crops stay as they are, and in photographs faces are looked for."""
    face_detector: str = "auto"
    """What looks for them: haar, yunet (downloaded once) or auto (yunet where its file is there, else haar)."""
    align_faces: bool = True
    """Turn faces that were looked for upright, by their eyes (yunet finds eyes)."""
    without_face: Literal["leave-out", "whole"] = "leave-out"
    """Pictures in which no face is found: left out, or taken whole."""
    several_faces: Literal["largest", "leave-out"] = "largest"
    """Pictures with several faces: the largest is taken, or they are left out."""
    score_test: bool = True
    """Score the finished model on the test images; otherwise, for teachers and folds, on the validation ones."""
    more_images: str | None = None
    """A folder of more images, <label>/…: for training and validation, never for test."""

    network: str = "baseline"
    """The network: the name of a file in fer_core/networks."""
    network_options: dict[str, Any] = {}
    """Settings of the network itself."""
    image_size: Annotated[int, Field(ge=16, le=512)] | None = None
    """Height and width of the network's input in pixels. Without it: what the network asks for (48)."""
    init_from: str | None = None
    """Start from these weights: a run id, 'current' (the model in use) or a .h5 file."""
    train_layers: Literal["all", "head"] = "all"
    """With --init-from: train all layers, or the last one alone."""
    fine_tune: bool = False
    """Two stages: the last layer alone, then the last part of the network at a lower rate; BatchNorm stays as it is."""
    head_epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS), Searchable(choices=(2, 5, 10), when=_FINE_TUNED)] = 5
    """With --fine-tune: so many first epochs train the last layer alone, at --learning-rate."""
    unfreeze: Annotated[float, Field(gt=0, le=1), Searchable(low=0.1, high=1.0, when=_FINE_TUNED)] = 0.3
    """With --fine-tune: the part of the layers, counted from the last, that the other epochs train; 1 = all."""
    unfreeze_rate: Annotated[float, Field(gt=0, le=1), Searchable(low=0.02, high=0.5, log=True, when=_FINE_TUNED)] = 0.1
    """With --fine-tune: the learning rate of the other epochs, as a part of --learning-rate."""

    optimizer: Annotated[Literal["adam", "adamw", "sgd"], Searchable(choices=("adam", "adamw", "sgd"))] = "adam"
    """adamw has decoupled weight decay; sgd has Nesterov momentum."""
    learning_rate: Annotated[float, Field(gt=0, le=10), Searchable(low=1e-5, high=1e-2, log=True)] = 1e-3
    """The highest learning rate of the schedule."""
    momentum: Annotated[Fraction, Searchable(low=0.8, high=0.99, when=("optimizer", ("sgd",)))] = 0.9
    """Of sgd."""
    weight_decay: Annotated[
        float,
        Field(ge=0, le=1),
        Searchable(low=1e-6, high=1e-2, log=True, when=("optimizer", ("adamw", "sgd"))),
    ] = 0.0
    """Decoupled, of adamw and sgd; none on biases and normalisation."""
    schedule: Annotated[
        Literal["constant", "step", "cosine", "linear", "one_cycle"], Searchable(choices=("constant", "cosine"))
    ] = "constant"
    """How the learning rate changes: not, by --step-factors after --step-epochs, along a cosine or a line down to 0,
    or in one cycle: up from a 25th in the warm-up, then down to 0, both along cosines."""
    step_epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """After these epochs the learning rate becomes the matching one of --step-factors times its start."""
    step_factors: tuple[Annotated[float, Field(gt=0, le=10)], ...] = ()
    """One for each of --step-epochs."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """The learning rate rises from 0 in these first epochs."""
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = 50
    """At most so many passes over the training images."""
    time_budget: Annotated[str, Field(min_length=2, pattern=_HOURS_MINUTES_SECONDS)] | None = None
    """2h, 90m, 1h30m: measure the first steps, train for as many epochs as fit, not for --epochs, and end in time."""
    batch_size: Annotated[int, Field(ge=1, le=65_536), Searchable(choices=(32, 64, 128))] = 64
    """Images in a step, over all devices."""
    class_weights: Annotated[str, Searchable(choices=("none", "balanced"))] = "none"
    """'none', 'balanced' (n / (classes x images of the class)), or a list such as angry=3.5,disgust=6.5 (others 1)."""
    weighted_validation_loss: bool = False
    """Also weigh val_loss by class: weighted cross-entropy as the loss, not as sample weights."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    """Stop after so many epochs without a better --monitor; 0 = never."""
    monitor: Literal["val_accuracy", "val_macro_f1", "val_loss"] = "val_accuracy"
    """What makes an epoch better than another."""
    keep: Literal["auto", "best", "last"] = "auto"
    """Which epoch's weights are saved; auto: the best where there is validation."""
    ema: Annotated[Fraction, Searchable(choices=(0.0, 0.99, 0.998))] = 0.0
    """Validate and save a moving average of weights and BatchNorm statistics: this much of it stays in each step."""
    label_smoothing: Annotated[Fraction, Searchable(low=0, high=0.2)] = 0.0
    """This much of each label is spread evenly over all labels."""
    mixup: Annotated[float, Field(ge=0, le=10), Searchable(low=0, high=0.5)] = 0.0
    """Train on mixtures of two images, with shares from Beta(mixup, mixup); 0 = not."""
    mixup_probability: Annotated[Fraction, Field(gt=0)] = 0.5
    """How probable it is that an image is mixed, where there is mixup."""

    rotation: Annotated[float, Field(ge=0, le=180), Searchable(low=0, high=30)] = 0.0
    """Augmentation: turn by up to so many degrees."""
    shift: Annotated[Fraction, Searchable(low=0, high=0.2)] = 0.0
    """Augmentation: move by up to this part of the side."""
    scale: Annotated[Fraction, Searchable(low=0, high=0.25)] = 0.0
    """Augmentation: enlarge or shrink by up to this part."""
    flip: Annotated[bool, Searchable(choices=(False, True))] = False
    """Augmentation: mirror half of the images."""
    brightness: Annotated[Fraction, Searchable(low=0, high=0.4)] = 0.0
    """Augmentation: lighten or darken by up to this part of the range."""
    contrast: Annotated[Fraction, Searchable(low=0, high=0.4)] = 0.0
    """Augmentation: stretch or squeeze the grey values by up to this part."""
    alternating_flip: bool = False
    """Augmentation: mirror each image in every second epoch, instead of at random as --flip does."""
    crop: Annotated[int, Field(ge=16, le=512)] | None = None
    """Augmentation: train on random windows of so many pixels, for networks that take any size."""
    erasing: Annotated[Fraction, Searchable(low=0, high=0.5)] = 0.0
    """Augmentation: how often a rectangle of 2 to 20 % of the picture is painted over."""
    camera: Annotated[Fraction, Searchable(low=0, high=0.3)] = 0.0
    """Augmentation: how often a picture is blurred, gets another gamma, or loses half its resolution: each of them."""
    annealing: Annotated[float, Field(ge=0, le=1), Searchable(low=0, high=0.5)] = 0.0
    """Augmentation and mixup are annealed to nothing over this last fraction of the epochs; mirroring stays."""
    progressive_sizes: tuple[Annotated[int, Field(ge=16, le=512)], ...] = ()
    """Train on pictures shrunk to these sizes in pixels, one after the other for equal parts of the epochs: 32 40 48.
    Validation sees them whole, so val_accuracy leaps with each: stop early only after the last."""

    adjust_prior: bool = False
    """Divide the answers by how often each class was seen in training, to the power with the best mean recall that
    costs no accuracy on the validation images."""
    eight_bit: bool = False
    """Also export an int8 LiteRT model; it is kept if it loses at most half a point on the validation images (where
    there are none, always). `--runtime int8` reads with it."""
    teacher: tuple[str, ...] = ()
    """Distil from these models, averaged: run ids, 'current' (the model in use) or .h5 files."""
    teacher_weight: Annotated[float, Field(gt=0, le=1)] = 0.7
    """How much of each label is what the teacher says."""
    teacher_views: Annotated[int, Field(ge=0, le=18)] = 0
    """Ask the teacher once, about so many fixed views of each image (half of them mirrored), and train on these; 0: ask
    at every step (class weights then weigh what the labels say, not what the teacher says; mirroring is --flip's)."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of the weights, the order of the images, dropout, augmentation and the split."""
    deterministic: bool = True
    """The same seed gives the same weights (same machine, same number of threads)."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 = all cores. The run records how many they were."""
    devices: Annotated[str, Field(pattern=r"^(auto|cpu|gpu|(cpu|gpu):[1-9][0-9]*)$")] = "auto"
    """auto (all GPUs, otherwise the CPU), cpu, gpu, gpu:2 (two GPUs) or cpu:2 (two virtual devices, to try it)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic while training; auto takes bfloat16 where the machine has it. What is saved is float32."""

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "TrainConfig":
        for is_wrong, sentence in _conflicts(self):
            if is_wrong:
                raise ValueError(sentence)
        return self

    def class_weight_table(self) -> dict[str, float]:
        """Returns the weights given by name; empty for 'none' and 'balanced'."""
        if self.class_weights in ("none", "balanced"):
            return {}
        pairs = (pair.split("=") for pair in self.class_weights.split(","))
        return {name.strip().lower(): float(value) for name, value in pairs}


def _conflicts(config: TrainConfig) -> list[tuple[bool, str]]:
    without_validation, weights = config.validation == "none", config.class_weights
    fold, folds = (int(number) for number in (config.fold or "1/2").split("/"))
    return [
        (fold > folds or folds < 2, "fold is one of at least two, such as 2/5"),
        (len(config.step_epochs) != len(config.step_factors), "step_epochs and step_factors differ in length"),
        (list(config.step_epochs) != sorted(set(config.step_epochs)), "step_epochs must rise"),
        (config.schedule == "step" and not config.step_epochs, "schedule 'step' needs step_epochs and step_factors"),
        (config.schedule != "step" and bool(config.step_epochs), "step_epochs is only used with schedule 'step'"),
        (config.warmup_epochs >= config.epochs, "warmup_epochs must be less than epochs"),
        (
            config.optimizer == "adam" and config.weight_decay > 0,
            "adam has no weight_decay here; take adamw or sgd, or set it to 0",
        ),
        (without_validation and config.keep == "best", "keep 'best' needs validation images; validation is 'none'"),
        (
            without_validation and config.early_stopping_patience > 0,
            "early stopping needs validation images; with validation 'none' set early_stopping_patience to 0",
        ),
        (without_validation and not config.score_test, "without score_test it needs validation images to be scored on"),
        (without_validation and config.adjust_prior, "adjust_prior needs validation images; validation is 'none'"),
        (config.train_layers == "head" and config.init_from is None, "train_layers 'head' needs init_from"),
        (config.fine_tune and config.head_epochs >= config.epochs, "head_epochs must be less than epochs"),
        (config.fine_tune and config.train_layers == "head", "fine_tune trains more than the head; set it to false"),
        (
            config.flip and config.alternating_flip,
            "flip and alternating_flip exclude each other; set one of them to false",
        ),
        (len(config.progressive_sizes) > config.epochs, "progressive_sizes are more than epochs"),
        (config.teacher_views > 0 and not config.teacher, "teacher_views needs a teacher"),
        (config.teacher_views % 2 == 1, "teacher_views must be even: half of the views are mirrored"),
        (
            config.teacher_views > 0 and (config.flip or config.alternating_flip),
            "with teacher_views, half of the views are mirrored: leave flip and alternating_flip out",
        ),
        (
            weights not in ("none", "balanced") and not re.fullmatch(f"{_ONE_WEIGHT}(,{_ONE_WEIGHT})*", weights, re.I),
            f"class_weights is 'none', 'balanced' or a list such as angry=3.5,disgust=6.5, not {weights!r}",
        ),
    ]


_ONE_WEIGHT = r"[^=,]+=\s*(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*"


def config_error(
    error: ValidationError, settings: type[Settings], where: str = "", *, script: str = "train_emotion_model.py"
) -> ConfigError:
    """Returns pydantic's finding as one sentence; `where` names the file or network that it was found in."""
    problems = error.errors()
    first = problems[0]
    name = ".".join(str(part) for part in first["loc"])
    place = f"{where}: " if where else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{place}there is no setting {name!r}.", hint=did_you_mean(name, settings.model_fields))
    sentences = "; ".join(_sentence(problem) for problem in problems)
    return ConfigError(f"{place}{sentences}.", hint=f"`python {script} --help` lists what each setting takes.")


def _sentence(problem: dict[str, Any]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in problem["loc"])
    return f"{name}: {message[0].lower()}{message[1:]}, got {problem['input']!r}" if name else message
