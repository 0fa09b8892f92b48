"""Labels have their colours, also those of models from elsewhere."""

from fer_core.emotions import COLOURS, SPARE_COLOURS, colour


def test_an_emotion_has_its_colour_however_it_is_written():
    for label in ("happy", "Happy", " HAPPY "):
        assert colour(label) == colour(label, ("sad", label)) == COLOURS["happy"]


def test_a_class_that_is_no_emotion_of_ours_has_a_spare_colour_by_its_place():
    labels = tuple(f"class {number}" for number in range(len(SPARE_COLOURS) + 1))
    assert [colour(label, labels) for label in labels] == [*SPARE_COLOURS, SPARE_COLOURS[0]]
    assert colour("elsewhere", labels) == SPARE_COLOURS[0]
