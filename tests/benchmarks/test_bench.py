"""The benchmarks' arithmetic and tables, the plain Keras script, and what networks cost."""

import bench
import harness
import keras
import measure
import pytest

from fer_core import networks
from fer_core.labels import FER2013_LABELS
from fer_core.recipes import recipe_config


def test_the_table_says_where_and_when():
    row = harness.row("baseline, auto: images/s", 2100.4, 1000.0, bar="≥ 2.0 ×", met=True)
    missed = harness.row("to 60 %", 90.0, 80.0, bar="≥ 3.0 ×", met=False) | {
        "ratio": None,
        "note": "ours 58.0% at best",
    }
    about = {"measured": "2026-01-31T14:02:12+00:00", "machine": "A CPU"}
    lines = bench.markdown({"sections": {"sixty": about | {"rows": [missed]}, "speed": about | {"rows": [row]}}})
    assert lines.splitlines()[2:] == [
        "| baseline, auto: images/s | 2,100 | 1,000 | 2.10 × | ≥ 2.0 × | yes |",
        "| to 60 % | 90 | 80 | not reached | ≥ 3.0 × | no |",
        "",
        "to 60 %: ours 58.0% at best.",
        "",
        "`make bench` on A CPU, 2026-01-31.",
    ]


def test_the_plain_script_has_the_learning_rates_and_batches_of_our_recipes():
    import plain_keras

    for name, learning_rate in plain_keras.LEARNING_RATES.items():
        recipe = recipe_config(name)
        assert (recipe.learning_rate, recipe.batch_size) == (learning_rate, bench.BATCH_SIZES[name])


def test_multiply_adds_are_counted_by_place_and_kernel():
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    assert measure.multiply_adds(network) == 4 * 4 * 9 * 4 + 4 * 3


@pytest.mark.parametrize(("name", "weights", "millions"), [("tiny", 500_000, 30), ("resnet", 2_500_000, 150)])
def test_networks_stay_within_their_bounds(name, weights, millions):
    network = networks.build(recipe_config(name), FER2013_LABELS)
    assert network.count_params() <= weights
    assert measure.multiply_adds(network) <= millions * 1e6
