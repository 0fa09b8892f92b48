"""Holding images out: copies together, every class in proportion, the same choice for the same seed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.data.splits import held_out

images = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=200)
fractions = st.floats(0.01, 0.89)
thorough = settings(max_examples=150, deadline=None, database=None)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and hashes; equal second numbers are copies, also under different labels."""
    table = np.array(pairs, np.int64)
    return table[:, 0], (table[:, 1].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


@given(images, fractions, st.text(max_size=5))
@thorough
def test_copies_stay_on_one_side(pairs, fraction, key):
    labels, hashes = arrays(pairs)
    out = held_out(labels, hashes, fraction=fraction, key=key)
    assert not np.isin(hashes[out], hashes[~out]).any()


@given(images, fractions, st.randoms(use_true_random=False))
@thorough
def test_the_choice_does_not_depend_on_the_order_of_the_images(pairs, fraction, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    chosen = []
    for some in (pairs, shuffled):
        labels, hashes = arrays(some)
        out = held_out(labels, hashes, fraction=fraction, key="seed 0")
        chosen.append(sorted(zip(labels[out].tolist(), hashes[out].tolist(), strict=True)))
    assert chosen[0] == chosen[1]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), fractions, st.text(max_size=5))
@thorough
def test_without_copies_each_class_gives_its_rounded_share_and_at_least_one(counts, fraction, key):
    labels = np.repeat(np.arange(len(counts)), counts)
    hashes = np.random.default_rng(0).permutation(len(labels)).astype(np.uint64)
    out = held_out(labels, hashes, fraction=fraction, key=key)
    for label, count in enumerate(counts):
        expected = max(1, round(fraction * count)) if count > 1 else 0
        assert out[labels == label].sum() == expected


def many(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(count) % 7, np.random.default_rng(1).integers(0, 2**64, count, dtype=np.uint64)


def test_another_key_holds_out_other_images():
    labels, hashes = many(7000)
    first, second = (held_out(labels, hashes, fraction=0.1, key=key) for key in ("seed 0", "seed 1"))
    assert abs((first & second).sum() - 70) < 35


def test_a_few_more_images_move_few_of_the_others():
    labels, hashes = many(7000)
    before = held_out(labels[:6900], hashes[:6900], fraction=0.1, key="seed 0")
    after = held_out(labels, hashes, fraction=0.1, key="seed 0")[:6900]
    assert (before != after).sum() < 60
