"""What classes are read as: by their names, by numbers of data sets, by a map."""

import json

import pytest

from fer_core.errors import ConfigError
from fer_core.labels import EMOTIONS, NUMBERS, LabelMap, canonical, is_emotion, label_map


@pytest.mark.parametrize(
    ("name", "label"),
    [
        *(("Anger", "angry"), ("ANGRY ", "angry"), ("fearful", "fear"), ("suprise", "surprise"), ("calm", "neutral")),
        *(("3_happy", "happy"), ("sad faces", "sad"), ("not happy", "not happy"), ("bored", "bored"), ("7", "7")),
    ],
)
def test_other_words_for_an_emotion_mean_it(name, label):
    assert canonical(name) == label


def test_near_words_are_classes_of_their_own_beside_the_emotion():
    assert LabelMap().read(["calm", "neutral", "fearful"]) == {"calm": "calm", "neutral": "neutral", "fearful": "fear"}
    assert LabelMap().read(["con", "pro", "contra", "sad"]) == {name: name for name in ("con", "pro", "contra", "sad")}
    assert LabelMap().read(["anger", "angry"]) == {"anger": "angry", "angry": "angry"}
    assert LabelMap().read(["happy 1", "happy 2"]) == {"happy 1": "happy 1", "happy 2": "happy 2"}


def test_a_map_renames_merges_and_drops():
    labels = label_map("Anger=negative, sadness=negative,8=")
    read = labels.read(["anger", "sad", "happiness", "8"])
    assert read == {"anger": "negative", "sad": "negative", "happiness": "happy", "8": ""}
    assert label_map("angry=negative,sad=negative").read(["anger", "sadness"]) == dict.fromkeys(
        ("anger", "sadness"), "negative"
    )
    assert label_map("none").read(["anger"]) == {"anger": "anger"}
    assert label_map("affectnet").read(["0", "7", "01"]) == {"0": "neutral", "7": "contempt", "01": "happy"}


@pytest.mark.parametrize(
    "content",
    ["a=x\nb=\n# why\n", "a,x\nb,\n", "a;x\r\nb;\r\n", json.dumps({"a": "x", "b": ""}), "a\tx\nb\t\n"],
)
def test_a_map_may_be_a_file_and_is_the_same_as_text(tmp_path, content):
    path = tmp_path / "map"
    path.write_text(content, newline="")
    labels = label_map(str(path))
    assert labels.read(["a", "b", "c"]) == {"a": "x", "b": "", "c": "c"}
    assert label_map(labels.text()) == labels
    path.write_text('["calm", "joy"]')
    assert label_map(str(path)).read(["0", "1"]) == {"0": "calm", "1": "joy"}


@pytest.mark.parametrize("text", ["=x", "a=b=c", "a==b", "missing.csv", "a=b,c", "a=\x1b[2J"])
def test_what_is_no_map_is_refused(text):
    with pytest.raises(ConfigError, match="--label-map") as caught:
        label_map(text)
    assert caught.value.hint


def test_a_map_that_names_no_class_of_the_data_is_refused():
    with pytest.raises(ConfigError, match="--label-map names 'hapy'; the data has no such class") as caught:
        label_map("hapy=joy").read(["happy", "sad"])
    assert "'happy'" in caught.value.hint
    with pytest.raises(ConfigError, match="the data has no such class"):
        label_map("affectnet").read(["happy", "sad"])


def test_numbers_mean_emotions_and_words_for_them_are_known():
    assert all(label in EMOTIONS for table in NUMBERS.values() for label in table.values())
    assert is_emotion("FearfulFace") and is_emotion("very angry") and not is_emotion("dis") and not is_emotion("con")
    assert (
        label_map(None).text() is None and label_map("rafdb").text() == "rafdb" and label_map("none").text() == "none"
    )
