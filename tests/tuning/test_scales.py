"""Where the values of settings lie on an axis."""

import pytest

from fer_core.tuning.scales import NOT_USED, make_scales, number_text
from fer_core.tuning.space import Parameter

RATE = Parameter(name="learning_rate", kind="float", low=1e-5, high=1e-2, log=True, default=1e-3)
SHIFT = Parameter(name="shift", kind="float", low=0, high=0.2, default=0.0)
BATCH = Parameter(name="batch_size", kind="choice", choices=(32, 64, 128), default=64)
FLIP = Parameter(name="flip", kind="bool", default=False)
DECAY = Parameter(name="weight_decay", kind="float", low=1e-6, high=1e-2, log=True, default=0.0)
LAYERS = Parameter(name="network_options.filters", kind="choice", choices=([16, 32], [32, 64]), default=[16, 32])


def scale_of(parameter, *values):
    (scale,) = make_scales([parameter], [{parameter.name: value} for value in values])
    return scale


def texts(scale) -> list[str]:
    return [text for _, text in scale.ticks]


def test_numbers_lie_evenly_over_the_whole_range_of_the_search():
    scale = scale_of(SHIFT, 0.05, 0.1)
    assert (scale.place(0.05), scale.place(0.1)) == (pytest.approx(0.25), pytest.approx(0.5))
    assert texts(scale)[0] == "0"
    assert texts(scale)[-1] == "0.2"


def test_a_logarithmic_range_has_its_powers_of_ten_at_even_distances():
    scale = scale_of(RATE, 1e-4, 1e-3)
    assert (scale.place(1e-4), scale.place(1e-3)) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert texts(scale) == ["1e-5", "0.0001", "0.001", "0.01"]


def test_zero_has_a_place_of_its_own_on_a_logarithmic_axis():
    scale = scale_of(DECAY, 0.0, 1e-6, 1e-2)
    assert scale.place(0.0) == 0
    assert 0.1 < scale.place(1e-6) < scale.place(1e-2) == 1
    assert scale.ticks[0] == (0.0, "0")


def test_choices_stand_in_the_order_in_which_they_are_declared():
    scale = scale_of(BATCH, 128, 32)
    assert texts(scale) == ["32", "128"]
    assert scale.place(32) < scale.place(128)
    assert texts(scale_of(FLIP, True, False)) == ["no", "yes"]


def test_a_choice_may_be_a_list():
    scale = scale_of(LAYERS, [32, 64], [16, 32])
    assert scale.place([16, 32]) < scale.place([32, 64])
    assert scale.name == "filters"


def test_a_trial_that_does_not_use_the_setting_stands_apart():
    scale = make_scales([DECAY], [{}, {"weight_decay": 1e-6}, {"weight_decay": 1e-2}])[0]
    assert scale.ticks[0] == (0.0, NOT_USED)
    assert scale.place(None) == 0 < scale.place(1e-6)


def test_one_value_beside_trials_without_any_is_drawn():
    scale = make_scales([DECAY], [{}, {"weight_decay": 1e-2}])[0]
    assert scale.place(None) < scale.place(1e-2) <= 1


def test_a_setting_that_is_the_same_in_all_trials_has_no_axis():
    assert make_scales([RATE, BATCH], [{"learning_rate": 0.1, "batch_size": 32}] * 3) == []


@pytest.mark.parametrize(("value", "text"), [(0.25, "0.25"), (128, "128"), (3e-5, "3e-5"), (0.0, "0")])
def test_numbers_are_as_short_as_can_be_read(value, text):
    assert number_text(value) == text
