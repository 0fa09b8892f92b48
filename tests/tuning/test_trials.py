"""Asking for a trial and telling what came of it, with kills in between."""

from datetime import timedelta

import pytest

from fer_core.errors import ConfigError
from fer_core.recipes import recipe_config
from fer_core.store.runs import open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.tuning.stage import TrialName, parse_trial_name, running_slots, slot_count, trial_of, work_left
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.trials import (
    Asked,
    Fingerprints,
    Outcome,
    ask,
    cancel_search,
    code_fingerprint,
    config_of,
    note_refusal,
    reopen_search,
    tell,
    trial_failed,
)
from tests.tuning.conftest import FINGERPRINTS, NOON


def begin(search, slot: int = 0, *, metadata=FINGERPRINTS, **options) -> Asked | str:
    """What the process of a worker does in a slot: it asks for the training that the slot is at, or the next one."""
    return ask(search, trial_of(load_state(search), search.id, slot).id, metadata=metadata, **options)


def end(search, number: int, score: float = 0.5):
    return tell(search, number, Outcome("COMPLETED", score))


def left(search) -> int:
    return work_left(load_state(search), NOON)


def test_the_first_trial_is_the_recipe_itself_and_each_run_waits_to_be_trained_with_its_settings(make_search, paths):
    search = make_search()
    for slot in range(3):
        asked = begin(search, slot, metadata=FINGERPRINTS._replace(data_source="/here/faces.zip"))
        run = open_run(paths, asked.entry.run)
        assert run.manifest.config == asked.config
        assert asked.config.data == "/here/faces.zip"
        assert slot or asked.config.model_copy(update={"data": search.plan.base.data}) == search.plan.base
        assert (run.manifest.kind, run.manifest.parent, run.manifest.recipe) == ("trial", search.id, "smoke")
        assert (run.state.status, run.manifest.promote) == ("QUEUED", False)
        assert run.history_csv.read_text() == HISTORY_HEADER
        assert run.history_csv.parent.name == "search_search-0"


def test_trials_of_one_second_get_runs_of_their_own(make_search, monkeypatch):
    marks = iter(["3f9a", "3f9a", "77aa"])
    monkeypatch.setattr("fer_core.store.runs._mark", lambda: next(marks))
    search = make_search()
    runs = [begin(search, slot, clock=lambda: NOON).entry.run for slot in range(2)]
    assert runs == ["20260131-120000-smoke-3f9a", "20260131-120000-smoke-77aa"]


def test_other_images_are_refused_and_what_was_begun_waits_for_a_machine_that_has_them(make_search):
    search = make_search()
    begun = begin(search)
    for slot in (0, 1):
        with pytest.raises(ConfigError, match="The images here are not those that search search-0 was begun") as caught:
            begin(search, slot, metadata=Fingerprints("others", "code"))
    assert "warm_start 'search-0'" in caught.value.hint
    assert load_state(search).entries == [begun.entry]
    assert begin(search).entry == begun.entry


def test_other_code_is_noted_and_the_search_goes_on(make_search, tmp_path):
    search = make_search()
    begin(search)
    for slot in (1, 2):
        assert isinstance(begin(search, slot, metadata=Fingerprints("images", "with a comment more")), Asked)
    state = load_state(search)
    assert (state.code_fingerprint, state.other_code) == ("code", ["with a comment more"])
    for name in ("config.py", "training/train.py", "live/loop.py"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    first = code_fingerprint(tmp_path / "code")
    (tmp_path / "code" / "live" / "loop.py").write_text("other")
    assert code_fingerprint(tmp_path / "code") == first
    (tmp_path / "code" / "training" / "train.py").rename(tmp_path / "code" / "training" / "fit.py")
    assert code_fingerprint(tmp_path / "code") != first


def test_a_slot_continues_what_it_has_begun_and_then_begins_the_next(make_search):
    search = make_search(max_trials=3)
    assert slot_count(search) > 1000 and slot_count(make_search(parallelism=3)) == 3
    first = begin(search, 0)
    assert begin(search, 0) == first and begin(search, 1) != first
    end(search, 0)
    ended = ask(search, "search-0.s0.0", metadata=FINGERPRINTS).entry
    assert (ended.number, ended.status, ended.score) == (0, "COMPLETED", 0.5)
    assert trial_of(load_state(search), search.id, 0).id == "search-0.s0.1"
    assert running_slots(load_state(search)) == {1}
    assert parse_trial_name("20260131-a.s1.2-x.s3.14") == TrialName("20260131-a.s1.2-x", 3, 14)
    assert not any(map(parse_trial_name, ("tune-1", "x.s1", "x.s1.", ".s1.2", "x.s-1.2", "x.s1.2\n")))


def test_after_the_trials_the_best_are_trained_again_with_three_other_seeds(make_search):
    search = make_search(max_trials=4, confirm_top=2)
    assert left(search) == 4
    for score in (0.5, 0.9, 0.1):
        end(search, begin(search).entry.number, score)
    begin(search)
    assert begin(search, 1) == "The last trials of the search are being trained."
    assert left(search) == 0
    end(search, 3, 0.7)
    assert left(search) == 6
    again = [begin(search, slot) for slot in range(6)]
    assert [(one.entry.kind, one.entry.of, one.entry.seed) for one in again] == [
        ("confirm", trial, seed) for trial in (1, 3) for seed in (1, 2, 3)
    ]
    assert again[0].config == config_of(search, load_state(search).entries[1]).model_copy(update={"seed": 1})
    assert isinstance(begin(search, 7), str) and left(search) == 0
    for number in range(4, 10):
        end(search, number)
    assert begin(search, 7) == "The search has nothing left to train."
    assert left(search) == 1  # the winner is to be named


def test_hyperband_waits_confirms_different_settings_at_full_length_and_then_is_over(make_search):
    search = make_search(oracle="hyperband", max_epochs=3, confirm_top=2, max_trials=50, space=("learning_rate",))
    slot = 0
    while isinstance(begin(search, slot), Asked):
        slot += 1
    assert left(search) == 0  # nobody is sent again before a trial has ended
    for number in range(slot):
        end(search, number, 0.1 * number)
        assert left(search) > 0
    while (asked := begin(search, slot)).entry.kind == "trial":
        end(search, asked.entry.number, 0.1 * asked.config.epochs)
    others = [begin(search, slot + step) for step in range(1, 6)]
    assert {one.config.epochs for one in (asked, *others)} == {3}
    assert all(one.entry.values == load_state(search).entries[one.entry.of].settings for one in others)
    assert len({str(one.entry.values) for one in (asked, *others)}) == 2


def test_hyperband_continues_from_the_checkpoint_of_the_shorter_trial(make_search, paths):
    search = make_search(oracle="hyperband", max_epochs=3, max_trials=50, space=("learning_rate",))
    for slot in range(3):
        asked = begin(search, slot)
        assert asked.config.epochs == 1
        folder = open_run(paths, asked.entry.run).checkpoint
        folder.mkdir()
        (folder / "checkpoint.npz").write_bytes(b"weights of trial %d" % slot)
        end(search, slot, 0.1 * slot)
    longer = begin(search, 3)
    assert (longer.entry.values["tuner/trial_id"], longer.config.epochs) == ("2", 3)
    checkpoint = open_run(paths, longer.entry.run).checkpoint / "checkpoint.npz"
    assert checkpoint.read_bytes() == b"weights of trial 2"
    checkpoint.write_bytes(b"an epoch further")
    begin(search, 3)
    assert checkpoint.read_bytes() == b"an epoch further"


def test_a_short_trial_of_a_recipe_that_warms_up_has_valid_settings(make_search):
    asked = begin(make_search(recipe="resnet", oracle="hyperband", max_epochs=3, space=("learning_rate",)))
    assert (asked.config.epochs, asked.config.warmup_epochs) == (1, 0.5)
    assert asked.config.progressive_sizes == recipe_config("resnet").progressive_sizes[-1:]


def test_when_the_time_is_over_no_trial_is_begun_and_the_best_are_confirmed(make_search):
    search = make_search(max_hours=1, confirm_top=1)
    for number, minutes in enumerate((0, 59)):
        begin(search, clock=lambda after=minutes: NOON + timedelta(minutes=after))
        end(search, number)
    assert begin(search, clock=lambda: NOON + timedelta(minutes=60)).entry.kind == "confirm"


def test_a_search_goes_on_after_two_thousand_trials(make_search):
    search = make_search(recipe="baseline", space=None, max_trials=5000, oracle="hyperband", max_epochs=729)
    first = begin(search).entry
    with changing(search) as state:
        for number in range(1, 2000):
            values = first.values | {"learning_rate": 1e-5 + number * 1e-6}
            ended = {"status": "COMPLETED", "score": 0.5, "told_utc": first.asked_utc, "job": f"job-{number}"}
            state.entries.append(first.model_copy(update={"number": number, "values": values, **ended}))
    assert begin(search, 1).entry.number == 2000
    assert end(search, 2000).entries[2000].score == 0.5


def test_the_first_outcome_of_a_trial_stays(make_search):
    search = make_search()
    begin(search)
    tell(search, 0, Outcome("COMPLETED", 0.5, epochs=3))
    trial_failed(search, "search-0.s0.0", "It crashed afterwards.")
    state = tell(search, 0, Outcome("FAILED", message="later"))
    assert (state.entries[0].status, state.entries[0].score, state.entries[0].epochs) == ("COMPLETED", 0.5, 3)


def test_a_score_that_is_no_number_is_a_failure(make_search):
    search = make_search()
    for number, score in enumerate((float("nan"), float("inf"), None)):
        begin(search)
        end(search, number, score)
        entry = load_state(search).entries[number]
        assert (entry.status, entry.score, entry.message) == ("FAILED", None, "Its score is no number.")


def test_enough_failures_one_after_the_other_end_the_search(make_search):
    search = make_search(max_failed_in_a_row=2)
    for number, outcome in enumerate([Outcome("FAILED"), Outcome("COMPLETED", 0.1), Outcome("FAILED")]):
        begin(search)
        assert tell(search, number, outcome).status == "RUNNING"
    begin(search)
    trial_failed(search, "search-0.s0.3", "It does not fit into memory.")
    state = load_state(search)
    assert (state.status, state.entries[3].status) == ("FAILED", "FAILED")
    assert state.message == "2 trials failed one after the other; the last one: It does not fit into memory."


def test_a_search_that_no_worker_can_begin_fails_with_the_reason_and_continues_when_it_is_reopened(make_search):
    search = make_search()
    note_refusal(search, "bad/1", "The images are others.")
    assert load_state(search).status == "RUNNING"
    trial_failed(search, "search-0.s0.0", "The images are others.")
    state = load_state(search)
    assert (state.status, state.message, state.entries) == ("FAILED", "The images are others.", [])
    reopen_search(search)
    assert load_state(search).refused_by == {}
    assert begin(search).entry.number == 0


def test_a_cancelled_search_gives_nothing_more_until_it_continues_where_it_was(make_search):
    search = make_search()
    begun = begin(search)
    cancel_search(search, "For a while.")
    cancel_search(search, "Once more.")
    assert begin(search) == begin(search, 1) == "For a while."
    reopen_search(search)
    assert begin(search) == begun
    cancel_search(search)
    state = end(search, begun.entry.number)
    assert (state.status, state.entries[0].score) == ("CANCELLED", 0.5)
