"""The schedule's file: read whole, and every mistake in it is named with what was probably meant."""

import pytest

from fer_core.errors import ConfigError
from jobs.timetable import OWN_FILE, Timetable, load_timetable

ENTRY = 'name = "nightly"\ntask = "retrain"\nat = "02:30"\n'


@pytest.fixture
def load(tmp_path):
    """Returns load(text): the schedule in a file of this text."""

    def load(text: str) -> Timetable:
        path = tmp_path / "my.toml"
        path.write_text(text, encoding="utf-8")
        return load_timetable({"FER_SCHEDULE": str(path)})

    return load


def test_the_schedule_that_comes_with_the_project_retrains_each_night_with_enough_new_images():
    timetable = load_timetable({})
    assert timetable.path == OWN_FILE
    assert [(entry.name, entry.task, entry.enabled) for entry in timetable.entries] == [
        ("nightly_retrain", "retrain", True),
        ("weekly_evaluation", "evaluate", True),
        ("weekly_search", "tune", False),
        ("clean_up", "gc", True),
    ]
    assert timetable.entries[0].arguments == {"min_new_images": 50}
    assert timetable.notify == ()


def test_an_entry_is_every_day_and_switched_on_unless_told_otherwise(load):
    (entry,) = load(f"[[entry]]\n{ENTRY}").entries
    assert (entry.days, entry.enabled, entry.arguments) == ("daily", True, {})


def test_zone_days_and_command_are_taken(load):
    text = f'timezone = "Europe/Berlin"\n[[entry]]\n{ENTRY}days = ["sat", "sun"]\n[notify]\ncommand = ["mail", "me"]\n'
    timetable = load(text)
    assert (str(timetable.zone), timetable.entries[0].days) == ("Europe/Berlin", ("sat", "sun"))
    assert timetable.notify == ("mail", "me")


def test_an_empty_schedule_starts_nothing(load):
    assert load("").entries == ()


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("timezon = 'UTC'", "there is no 'timezon'.", "Did you mean 'timezone'?"),
        ("timezone = 'Europe/Berlyn'", "there is no time zone 'Europe/Berlyn'.", "Did you mean 'Europe/Berlin'?"),
        ("timezone = 2", "there is no time zone 2.", "It is a name such as Europe/Berlin, or UTC."),
        (f"[entry]\n{ENTRY}", "an entry begins with [[entry]], in two brackets.", None),
        ("entry = ['x']", ", entry 1: it cannot be 'x'.", None),
        (f"[[entry]]\n{ENTRY}day = 'sun'", ", entry 'nightly': there is no 'day'.", "Did you mean 'days'?"),
        ("[[entry]]\ntask = 'gc'\nat = '02:30'", ", entry 1: name is missing.", None),
        (f"[[entry]]\n{ENTRY}".replace("02:30", "2:30"), ": at cannot be '2:30'.", 'quotes: at = "02:30".'),
        (f"[[entry]]\n{ENTRY}".replace('"02:30"', "02:30:00"), ": at cannot be datetime.time(2, 30).", "in quotes"),
        (f"[[entry]]\n{ENTRY}days = ['sunday']", ": there is no day 'sunday'.", "Did you mean 'sun'?"),
        (f"[[entry]]\n{ENTRY}days = 'sun'", ": days cannot be 'sun'.", 'a list such as ["sat", "sun"]'),
        (f"[[entry]]\n{ENTRY}days = []", ": days is empty.", "daily"),
        (
            f"[[entry]]\n{ENTRY}".replace("retrain", "retrian"),
            ": there is no task 'retrian'.",
            "Did you mean 'retrain'?",
        ),
        (f"[[entry]]\n{ENTRY}".replace("retrain", "trial"), ": there is no task 'trial'.", None),
        (f"[[entry]]\n{ENTRY}arguments = {{ min_new_image = 5 }}", "'min_new_image'", "Did you mean 'min_new_images'?"),
        (
            f"[[entry]]\n{ENTRY}arguments = {{ recipe = 'atention' }}",
            "no recipe 'atention'",
            "Did you mean 'attention'?",
        ),
        (f"[[entry]]\n{ENTRY}".replace("nightly", "../x"), ": name cannot be '../x'.", "letters, digits"),
        (f"[[entry]]\n{ENTRY}[[entry]]\n{ENTRY}", "two entries are called 'nightly'.", "a name of its own"),
        ("[notify]\ncommand = 'mail me'", "[notify] has one line, command.", 'command = ["mail", "me@here"]'),
        ("[notify]\ncomand = ['mail']", "[notify] has one line, command.", None),
        ("[[entry]\n", "is no TOML: ", None),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_meant(load, text, sentence, hint):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "my.toml" in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    assert (hint or "") in caught.value.hint != ""


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"The schedule .*none\.toml cannot be read: No such file") as caught:
        load_timetable({"FER_SCHEDULE": str(tmp_path / "none.toml")})
    assert caught.value.hint == "$FER_SCHEDULE names another file."
