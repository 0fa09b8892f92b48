"""The recipes: named settings. A new one is a function here that returns a `TrainConfig`.

The first five are the published systems that this project succeeds, as faithfully as they are described; where they
are silent: 50 epochs, batch 64, filters 32/64/128(/256). `python train_emotion_model.py --list-recipes` lists them all,
`--recipe NAME` trains one; what each is expected to score is the README row of its name.
"""

from collections.abc import Callable

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError, did_you_mean

DEFAULT_RECIPE = "resnet"
"""Where neither a recipe nor a network is named."""
PLAIN_RECIPE = "baseline"
"""Whose settings a network begins with that is named without a recipe; the default one's do not suit every network."""
QUICK_RECIPE = "quick"
"""For networks that only audit labels, where nothing else is asked for."""

RECIPES: dict[str, Callable[[], TrainConfig]] = {}


def recipe(function: Callable[[], TrainConfig]) -> Callable[[], TrainConfig]:
    """Lists a function under its name."""
    RECIPES[function.__name__] = function
    return function


@recipe
def baseline() -> TrainConfig:
    """Three convolutions and a wide dense layer: what tutorials begin with."""
    return TrainConfig(network="baseline", optimizer="adam", learning_rate=1e-3, epochs=100, early_stopping_patience=15)


@recipe
def weighted_loss() -> TrainConfig:
    """Weighted cross-entropy for the rare emotions, with global max pooling.

    The weights are part of the loss (val_loss has them too). Other weights: --class-weights angry=3.5,disgust=6.5
    """
    loss = {"class_weights": "balanced", "weighted_validation_loss": True}
    augmentation = {"rotation": 10, "shift": 0.1, "scale": 0.1, "flip": True}
    return TrainConfig(network="weighted_loss", optimizer="adam", learning_rate=8e-5, **loss, **augmentation)


@recipe
def tapered() -> TrainConfig:
    """Four convolutions that narrow from 256 to 64 filters, with balanced class weights."""
    return TrainConfig(network="tapered", optimizer="adam", class_weights="balanced", rotation=30, flip=True)


@recipe
def attention() -> TrainConfig:
    """Four blocks with spatial attention after the second."""
    length = {"epochs": 80, "early_stopping_patience": 20}
    steps = {"optimizer": "adam", "learning_rate": 5e-5, "batch_size": 32, "class_weights": "balanced"}
    return TrainConfig(network="attention", **length, **steps)


@recipe
def deep_l2() -> TrainConfig:
    """Four blocks up to 512 filters with L2 and strong dropout; the learning rate falls in steps."""
    schedule = {"schedule": "step", "step_epochs": (20, 30), "step_factors": (0.5, 0.1)}
    return TrainConfig(network="deep_l2", optimizer="adam", learning_rate=5e-4, **schedule)


@recipe
def compact() -> TrainConfig:
    """A small residual network, trained patiently with augmentation: the best of these under 3 MB."""
    steps = {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.02, "batch_size": 128}
    length = {"epochs": 50, "schedule": "cosine", "warmup_epochs": 1, "keep": "last"}
    augmentation = {"rotation": 12, "shift": 0.08, "scale": 0.1, "flip": True}
    return TrainConfig(network="compact", **steps, **length, **augmentation)


_PATIENT = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "cosine",
    "warmup_epochs": 2,
    "batch_size": 128,
    "keep": "last",
    "validation_fraction": 0.03,
    "ema": 0.998,
    "mixup": 0.2,
    "mixup_probability": 0.3,
    "contrast": 0.2,
    "brightness": 0.1,
    "camera": 0.1,
}
"""What our own recipes for long trainings have in common."""
_FROM_THE_BEST = {"teacher": ("best",), "teacher_weight": 0.9, "teacher_views": 10}


@recipe
def resnet() -> TrainConfig:
    """A residual network with squeeze and excitation, patiently trained, for accuracy on a CPU.

    Pictures grow from 32 to 44 pixels, and what makes them harder fades out in the last epochs.
    """
    own = {"network": "resnet", "weight_decay": 5e-3, "epochs": 64, "label_smoothing": 0.1}
    pictures = {"crop": 44, "progressive_sizes": (32, 40, 44), "alternating_flip": True}
    augmentation = {"rotation": 10, "scale": 0.1, "shift": 0.04, "erasing": 0.2, "annealing": 0.08}
    return TrainConfig(**_PATIENT | own | pictures | augmentation)


@recipe
def born_again() -> TrainConfig:
    """A wider network than that of `resnet`, trained by those before it (arXiv 1805.04770): the best on a CPU.

    By the most accurate one that comes along, or --teacher RUN RUN. With --votes ferplus, votes soften the labels.
    """
    own = {"network_options": {"filters": [64, 128, 256], "squeeze": 0}, "epochs": 100, "eight_bit": True}
    labels = {"teacher_weight": 0.6, "vote_target": "softened", "validation_fraction": 0.07}
    pictures = {"crop": None, "progressive_sizes": (32, 40, 48), "alternating_flip": False}
    harder = {"mixup": 0.3, "mixup_probability": 0.5, "rotation": 15, "scale": 0.15, "shift": 0.06, "camera": 0.15}
    return resnet().model_copy(update=_FROM_THE_BEST | own | labels | pictures | harder | {"annealing": 0.06})


@recipe
def tiny() -> TrainConfig:
    """A network of 0.4 M weights for live use, distilled from the best that comes along, or --teacher."""
    own = {"network": "tiny", "weight_decay": 2e-3, "epochs": 110, "eight_bit": True}
    pictures = {"progressive_sizes": (32, 40, 48), "mixup": 0.3, "mixup_probability": 0.5}
    augmentation = {"rotation": 10, "scale": 0.1, "erasing": 0.1, "annealing": 0.08}
    return TrainConfig(**_PATIENT | own | pictures | augmentation | _FROM_THE_BEST)


@recipe
def ferplus() -> TrainConfig:
    """The network of `resnet` without squeeze and excitation on FER+ votes: eight emotions with contempt.

    Needs --votes. Rare emotions are found more often: the prior is taken out as far as it costs no accuracy.
    """
    own = {"network_options": {"squeeze": 0}, "epochs": 50, "adjust_prior": True, "eight_bit": True}
    labels = {"vote_target": "cross-entropy", "validation_fraction": 0.07, "label_smoothing": 0.0}
    pictures = {"crop": None, "progressive_sizes": (32, 40, 48), "mixup": 0.3, "mixup_probability": 0.5}
    augmentation = {"rotation": 15, "scale": 0.15, "shift": 0.06, "camera": 0.15}
    return resnet().model_copy(update=own | labels | pictures | augmentation)


_WIDE = {
    "stem": 64,
    "filters": [64, 128, 256, 512],
    "blocks": [2, 2, 2, 2],
    "strides": [1, 2, 2, 2],
    "activation": "silu",
    "head": 0,
    "stochastic_depth": 0.1,
}
"""Options of the network resnet: ResNet-18."""


@recipe
def resnet_large() -> TrainConfig:
    """A ResNet-18 with squeeze and excitation, for a large GPU (JAX, bfloat16); --teacher RUN RUN … distils into it.

    Not measured yet: no large GPU was at hand.
    """
    own = {"network_options": _WIDE, "epochs": 60, "learning_rate": 0.3, "warmup_epochs": 3, "batch_size": 512}
    pictures = {"ema": 0.999, "mixup": 0.4, "mixup_probability": 0.5, "progressive_sizes": ()}
    augmentation = {"rotation": 12, "scale": 0.15, "shift": 0.06, "contrast": 0.25, "erasing": 0.3, "annealing": 0.15}
    return resnet().model_copy(update=own | pictures | augmentation)


@recipe
def transfer() -> TrainConfig:
    """A network that was trained on ImageNet: its last layer first, then its last part at a tenth of the rate.

    --network-options.weights FILE where nothing can be downloaded. Not measured on FER-2013 yet.
    """
    stages = {"fine_tune": True, "head_epochs": 5, "unfreeze": 0.4, "epochs": 30, "early_stopping_patience": 8}
    steps = {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4, "schedule": "cosine"}
    augmentation = {"rotation": 10, "shift": 0.05, "scale": 0.1, "flip": True, "contrast": 0.2}
    return TrainConfig(network="backbone", label_smoothing=0.1, **stages, **steps, **augmentation)


@recipe
def finetune_own() -> TrainConfig:
    """A finished model on a few hundred pictures of your own, in minutes: --init-from RUN, by default tiny.

    The network is that of the model. At the end both are compared on the pictures that were held out.
    """
    stages = {"init_from": "tiny", "fine_tune": True, "head_epochs": 5, "unfreeze": 1.0, "unfreeze_rate": 0.3}
    steps = {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-3, "schedule": "cosine", "batch_size": 16}
    length = {"epochs": 40, "validation_fraction": 0.2, "monitor": "val_loss", "early_stopping_patience": 12}
    labels = {"label_smoothing": 0.1, "mixup": 0.2}
    augmentation = {"rotation": 10, "shift": 0.05, "scale": 0.1, "flip": True, "contrast": 0.2, "brightness": 0.1}
    return TrainConfig(network="tiny", **stages, **steps, **length, **labels, **augmentation)


@recipe
def quick() -> TrainConfig:
    """The baseline network in ten epochs, mirrored faces, less dropout, a cosine: 60 % in minutes on a laptop."""
    own = {"network_options": {"block_dropout": 0.1, "dropout": 0.4}, "flip": True}
    steps = {"optimizer": "adam", "learning_rate": 1.5e-3, "schedule": "cosine", "warmup_epochs": 0.5}
    return TrainConfig(network="baseline", epochs=10, keep="last", **own, **steps)


@recipe
def smoke() -> TrainConfig:
    """A very small one that learns the drawn faces in under a minute: shows that everything works.

    At least 95 % on the test images of --data sample.
    """
    steps = {"optimizer": "adam", "learning_rate": 3e-3, "schedule": "cosine", "batch_size": 32}
    return TrainConfig(network="smoke", epochs=12, **steps)


def starting_config(recipe: str | None, network: str | None) -> TrainConfig:
    """Returns the settings to begin with where a recipe, a network, both or none is named. Raises ConfigError."""
    return recipe_config(recipe or (PLAIN_RECIPE if network else DEFAULT_RECIPE))


def fitted_to(config: TrainConfig, epochs: object) -> TrainConfig:
    """Returns the settings with a warm-up and picture sizes that go with fewer epochs, for one who only asks for those.

    Args:
        epochs: what was asked for. What is no number of epochs is found elsewhere.
    """
    if not isinstance(epochs, int) or epochs < 1:
        return config
    warmup = config.warmup_epochs if config.warmup_epochs < epochs else epochs / 2
    return config.model_copy(update={"warmup_epochs": warmup, "progressive_sizes": config.progressive_sizes[-epochs:]})


def recipe_config(name: str) -> TrainConfig:
    """Returns the settings of a recipe; raises ConfigError for a name that there is not."""
    if name not in RECIPES:
        raise ConfigError(f"There is no recipe {name!r}.", hint=did_you_mean(name, RECIPES))
    return RECIPES[name]()
