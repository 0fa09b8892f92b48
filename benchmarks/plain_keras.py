"""The peer of `make bench`: a network trained by a plain Keras script, as a careful user would write it.

`image_dataset_from_directory`, cache, shuffle, prefetch, float32, `compile` and `fit`. Uses nothing of this project but
a file with the network that is compared, of stock layers. Takes FER-2013 unpacked, a folder with train/ and test/, and
validates on test/, as such scripts do.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import psutil
import tensorflow as tf

SIDE = 48
LEARNING_RATES = {"baseline": 1e-3, "attention": 5e-5, "deep_l2": 5e-4, "resnet": 0.1}
"""Of the networks; the residual one has another optimizer than Adam, and `attention` weighs its classes."""


def load_images(folder: Path, *, batch_size: int, shuffle: bool) -> tf.data.Dataset:
    """Returns batches of float32 (batch, 48, 48, 1) and one-hot labels from a folder of class folders."""
    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        color_mode="grayscale",
        image_size=(SIDE, SIDE),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=0,
        verbose=False,
    )


def balanced_weights(folder: Path) -> dict[int, float]:
    """Returns n / (classes x images of the class) by class number, as scikit-learn's "balanced"."""
    counts = [len(list(place.iterdir())) for place in sorted(folder.iterdir())]
    return {number: sum(counts) / (len(counts) * count) for number, count in enumerate(counts)}


class EpochLog(keras.callbacks.Callback):
    """Writes a JSON line per epoch; `seconds` is the training part alone, up to the end of its last batch."""

    def __init__(self, path: Path, *, images: int, stop_at: float):
        super().__init__()
        self._path, self._images, self._stop_at = path, images, stop_at
        self._begin = self._end = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = self._end - self._begin
        line = {
            "epoch": epoch + 1,
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / seconds, 1),
            "since_start": round(time.time() - psutil.Process().create_time(), 3),
            **{name: round(float(logs[name]), 5) for name in ("loss", "accuracy", "val_accuracy")},
        }
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        if logs["val_accuracy"] >= self._stop_at:
            self.model.stop_training = True


def main() -> None:
    """Trains one network on a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="file with the network, its weights fresh")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--network", choices=LEARNING_RATES, default="baseline", help="which network it is")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--stop-at", type=float, default=2.0, help="stop after the first epoch with this val_accuracy")
    parser.add_argument("--log", type=Path, required=True, help="file that gets a JSON line per epoch")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    train_folder, rate = options.data / "train", LEARNING_RATES[options.network]
    train = load_images(train_folder, batch_size=options.batch_size, shuffle=True)
    test = load_images(options.data / "test", batch_size=options.batch_size, shuffle=False)
    optimizer = keras.optimizers.Adam(rate)
    if options.network == "resnet":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model = keras.models.load_model(options.model, compile=False)
    metrics = [keras.metrics.Precision(), keras.metrics.Recall(), keras.metrics.F1Score(average="macro")]
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy", *metrics])
    model.fit(
        train.cache().shuffle(len(train)).prefetch(tf.data.AUTOTUNE),
        validation_data=test.cache().prefetch(tf.data.AUTOTUNE),
        epochs=options.epochs,
        class_weight=balanced_weights(train_folder) if options.network == "attention" else None,
        callbacks=[EpochLog(options.log, images=len(train.file_paths), stop_at=options.stop_at)],
        verbose=2,
    )


if __name__ == "__main__":
    main()
