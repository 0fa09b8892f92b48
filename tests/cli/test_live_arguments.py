"""The command line of realtime_emotion_detector.py."""

import pytest

from fer_core.cli.live import LiveSettings, parse
from fer_core.cli.train import parse as parse_training
from fer_core.errors import ConfigError


@pytest.mark.parametrize(
    ("flags", "wants"),
    [
        (["--analyze"], "analyze"),
        (["--explain", "face.jpg"], "explain"),
        (["--list-layers"], "list-layers"),
        (["--source", "clip.mp4"], "live"),
        ([], "live"),
    ],
)
def test_one_flag_says_what_is_wanted(flags, wants):
    assert parse(flags).wants == wants


@pytest.mark.parametrize(
    ("flags", "problem", "hint"),
    [
        (["--treshold", "0.5"], "There is no setting '--treshold'.", "Did you mean '--threshold'?"),
        (["--no-displey"], "There is no setting '--no-displey'.", "Did you mean '--no-display'?"),
        (["--threshold", "3"], "threshold: input should be less than or equal to 1, got 3.0.", "--help"),
        (["--detection-width", "1921"], "detection_width: input should be less than or equal to 1920", "--help"),
        (["--threshold", "half"], "--threshold takes a number, not 'half'.", "--help"),
        (["--runtime", "litrt"], "--runtime cannot be 'litrt'.", "Did you mean 'litert'?"),
        (["--layer", "conv"], "--layer is used with --explain.", "Give --explain PICTURE too."),
        (["--analyze", "--label-map", "a=b"], "--label-map is used with --data.", "Give --data PATH too."),
        (["--views", "10"], "--views is used with --analyze.", "Give --analyze too."),
        (["--analyze", "--emotion", "sad"], "--emotion is used with --explain.", "Give --explain PICTURE too."),
    ],
)
def test_a_wrong_flag_is_refused_with_what_to_do(flags, problem, hint):
    with pytest.raises(ConfigError) as caught:
        parse(flags)
    assert problem in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "value", "hint"),
    [
        (["photo.jpg"], "photo.jpg", "Did you mean --source photo.jpg?"),
        (["my photo.jpg", "--no-display"], "my photo.jpg", "Did you mean --source 'my photo.jpg'?"),
        (["--source", "a.jpg", "b.jpg"], "b.jpg", "--source takes one value: "),
    ],
)
def test_a_value_without_a_flag_is_answered_with_the_flag_that_is_meant(arguments, value, hint):
    with pytest.raises(ConfigError) as caught:
        parse(arguments)
    assert str(caught.value) == f"There is no flag before {value!r}."
    assert caught.value.hint.startswith(hint)


def test_the_training_takes_a_value_without_a_flag_for_its_data():
    with pytest.raises(ConfigError) as caught:
        parse_training(["archive.zip"])
    assert caught.value.hint == "Did you mean --data archive.zip?"


@pytest.mark.parametrize(
    ("flags", "first", "second"),
    [
        (["--explain", "face.jpg", "--analyze"], "--explain", "--analyze"),
        (["--explain", "face.jpg", "--output", "a.png"], "--explain", "--output"),
        (["--explain", "face.jpg", "--log", "a.csv"], "--explain", "--log"),
        (["--list-layers", "--source", "clip.mp4"], "--list-layers", "--source"),
        (["--analyze", "--source", "clip.mp4"], "--analyze", "--source"),
    ],
)
def test_flags_of_which_one_would_be_ignored_are_refused(flags, first, second):
    with pytest.raises(ConfigError) as caught:
        parse(flags)
    assert str(caught.value) == f"{first} and {second} do not go together."
    assert first in caught.value.hint


def test_a_file_of_yunet_is_refused_beside_haar():
    with pytest.raises(ConfigError, match="--detector haar has no use for --detector-model"):
        parse(["--detector", "haar", "--detector-model", "yunet.onnx"])
    assert parse(["--detector", "yunet", "--detector-model", "yunet.onnx"]).settings.detector == "yunet"


def test_flags_without_a_value_the_folder_of_runs_and_the_defaults(tmp_path):
    assert parse([]).settings == LiveSettings()
    request = parse(["--json", "--no-display", "--models-dir", str(tmp_path)])
    assert (request.settings.json_lines, request.settings.display) == (True, False)
    assert request.paths.models == tmp_path


def test_every_setting_has_a_help_text():
    assert [name for name, field in LiveSettings.model_fields.items() if not field.description] == []
