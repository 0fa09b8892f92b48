"""Asking for a trial and telling what came of it, with kills in between."""

from datetime import timedelta

import pytest

from fer_core.errors import ConfigError
from fer_core.recipes import recipe_config
from fer_core.store.runs import list_runs, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.tuning import asking
from fer_core.tuning.asking import Asked, Idle, Over, ask, config_of
from fer_core.tuning.fingerprints import Fingerprints, code_fingerprint
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.telling import Outcome, tell
from tests.tuning.conftest import FINGERPRINTS, NOON


def job(search, slot: int, n: int = 0) -> str:
    return f"{search.id}.s{slot}.{n}"


def asked_of(search, *, count: int, metadata=FINGERPRINTS) -> list[Asked]:
    return [ask(search, job(search, slot), metadata=metadata) for slot in range(count)]


def told_of(search, scores) -> None:
    for slot, score in enumerate(scores):
        number = ask(search, job(search, slot), metadata=FINGERPRINTS).entry.number
        tell(search, number, Outcome("COMPLETED", score))


def test_the_first_trial_is_the_recipe_itself(make_search):
    search = make_search()
    asked = ask(search, job(search, 0), metadata=FINGERPRINTS)
    assert (asked.entry.number, asked.entry.kind, asked.entry.status) == (0, "trial", "RUNNING")
    assert asked.config == search.base == config_of(search, asked.entry)


def test_the_run_of_a_trial_waits_to_be_trained_with_its_settings(make_search, paths):
    search = make_search()
    for asked in asked_of(search, count=3):
        run = open_run(paths, asked.entry.run)
        assert run.manifest.config == asked.config
        assert (run.manifest.kind, run.manifest.parent, run.manifest.recipe) == ("trial", search.id, "smoke")
        assert (run.state.status, run.manifest.promote) == ("QUEUED", False)
        assert run.history_csv.read_text() == HISTORY_HEADER
        assert run.history_csv.parent.name == "search_search-0"


def test_a_job_that_asks_again_gets_the_same_trial(make_search):
    search = make_search()
    first, other, again = (ask(search, job(search, slot), metadata=FINGERPRINTS) for slot in (0, 1, 0))
    assert first == again != other
    tell(search, 0, Outcome("COMPLETED", 0.5))
    told = ask(search, job(search, 0), metadata=FINGERPRINTS)
    assert (told.entry.number, told.entry.status, told.entry.score) == (0, "COMPLETED", 0.5)
    assert len(load_state(search).entries) == 2


def test_data_is_named_as_it_is_on_this_machine(make_search):
    search = make_search()
    asked = ask(search, job(search, 0), metadata=FINGERPRINTS._replace(data_source="/here/faces.zip"))
    assert asked.config.data == "/here/faces.zip"


class Killed(BaseException):
    """What a kill looks like from inside."""


def test_a_kill_between_the_state_and_the_run_loses_nothing(make_search, monkeypatch, paths):
    search = make_search()

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(asking, "create_run", killed)
        with pytest.raises(Killed):
            ask(search, job(search, 0), metadata=FINGERPRINTS)
    assert list_runs(paths) == []
    noted = load_state(search).entries[0]
    asked = ask(search, job(search, 0), metadata=FINGERPRINTS)
    assert asked.entry == noted
    assert [run.id for run in list_runs(paths)] == [noted.run]


def test_trials_of_one_second_get_runs_of_their_own(make_search, monkeypatch):
    marks = iter(["3f9a", "3f9a", "77aa"])

    def same_mark(config, **options):
        return new_run_id(config, random_mark=lambda: next(marks), **options)

    new_run_id = asking.new_run_id
    monkeypatch.setattr(asking, "new_run_id", same_mark)
    search = make_search()
    runs = [ask(search, job(search, slot), metadata=FINGERPRINTS, clock=lambda: NOON).entry.run for slot in range(2)]
    assert runs == ["20260131-120000-smoke-3f9a", "20260131-120000-smoke-77aa"]


def test_other_images_are_refused_and_what_was_begun_waits_for_a_machine_that_has_them(make_search):
    search = make_search()
    begun = ask(search, job(search, 0), metadata=FINGERPRINTS)
    for slot in (0, 1):
        with pytest.raises(ConfigError, match="The images here are not those that search search-0 was begun") as caught:
            ask(search, job(search, slot), metadata=Fingerprints("others", "code"))
    assert "warm_start 'search-0'" in caught.value.hint
    assert load_state(search).entries == [begun.entry]
    assert ask(search, job(search, 0), metadata=FINGERPRINTS).entry == begun.entry


def test_other_code_is_noted_and_the_search_goes_on(make_search):
    search = make_search()
    ask(search, job(search, 0), metadata=FINGERPRINTS)
    for slot in (1, 2):
        assert isinstance(ask(search, job(search, slot), metadata=Fingerprints("images", "with a comment more")), Asked)
    state = load_state(search)
    assert (state.code_fingerprint, state.other_code) == ("code", ["with a comment more"])


def test_the_code_is_known_by_names_and_contents_of_what_trains(tmp_path):
    for name in ("config.py", "training/train.py", "live/loop.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    first = code_fingerprint(tmp_path)
    (tmp_path / "live" / "loop.py").write_text("other")
    assert code_fingerprint(tmp_path) == first
    (tmp_path / "training" / "train.py").write_text("other")
    second = code_fingerprint(tmp_path)
    (tmp_path / "training" / "train.py").rename(tmp_path / "training" / "fit.py")
    assert len({first, second, code_fingerprint(tmp_path)}) == 3


def test_after_the_last_trial_was_asked_the_others_wait_and_then_it_is_over(make_search):
    search = make_search(max_trials=2)
    told_of(search, [0.5])
    ask(search, job(search, 1), metadata=FINGERPRINTS)
    assert isinstance(ask(search, job(search, 2), metadata=FINGERPRINTS), Idle)
    tell(search, 1, Outcome("COMPLETED", 0.6))
    assert isinstance(ask(search, job(search, 2, 1), metadata=FINGERPRINTS), Over)


def test_the_best_are_trained_again_with_three_other_seeds(make_search):
    search = make_search(max_trials=4, confirm_top=2)
    told_of(search, [0.5, 0.9, 0.1, 0.7])
    asked = [ask(search, job(search, 0, n), metadata=FINGERPRINTS) for n in range(1, 7)]
    assert [(one.entry.number, one.entry.kind, one.entry.of, one.entry.seed) for one in asked] == [
        (4, "confirm", 1, 1),
        (5, "confirm", 1, 2),
        (6, "confirm", 1, 3),
        (7, "confirm", 3, 1),
        (8, "confirm", 3, 2),
        (9, "confirm", 3, 3),
    ]
    best = load_state(search).entries[1]
    assert asked[0].config == config_of(search, best).model_copy(update={"seed": 1})
    assert isinstance(ask(search, job(search, 0, 7), metadata=FINGERPRINTS), Idle)
    for number in range(4, 10):
        tell(search, number, Outcome("COMPLETED", 0.5))
    assert isinstance(ask(search, job(search, 0, 8), metadata=FINGERPRINTS), Over)


def test_hyperband_confirms_different_settings_at_full_length(make_search):
    search = make_search(oracle="hyperband", max_epochs=3, confirm_top=2, max_trials=50, space=("learning_rate",))
    n = 0
    while (
        isinstance(asked := ask(search, job(search, 0, n), metadata=FINGERPRINTS), Asked)
        and asked.entry.kind == "trial"
    ):
        tell(search, asked.entry.number, Outcome("COMPLETED", 0.1 * asked.config.epochs))
        n += 1
    assert asked.entry.kind == "confirm"
    assert (asked.config.epochs, asked.entry.values) == (3, load_state(search).entries[asked.entry.of].settings)
    others = [ask(search, job(search, 1, m), metadata=FINGERPRINTS).entry for m in range(5)]
    confirmed = {str(entry.values) for entry in (asked.entry, *others)}
    assert len(confirmed) == 2


def test_hyperband_goes_on_from_the_checkpoint_of_the_shorter_trial(make_search, paths):
    search = make_search(oracle="hyperband", max_epochs=3, max_trials=50, space=("learning_rate",))
    for slot in range(3):
        asked = ask(search, job(search, slot), metadata=FINGERPRINTS)
        assert asked.config.epochs == 1
        folder = open_run(paths, asked.entry.run).checkpoint
        folder.mkdir()
        (folder / "checkpoint.npz").write_bytes(b"weights of trial %d" % slot)
        tell(search, slot, Outcome("COMPLETED", 0.1 * slot))
    longer = ask(search, job(search, 3), metadata=FINGERPRINTS)
    assert (longer.entry.values["tuner/trial_id"], longer.config.epochs) == ("2", 3)
    run = open_run(paths, longer.entry.run)
    assert (run.checkpoint / "checkpoint.npz").read_bytes() == b"weights of trial 2"
    (run.checkpoint / "checkpoint.npz").write_bytes(b"an epoch further")
    ask(search, job(search, 3), metadata=FINGERPRINTS)
    assert (run.checkpoint / "checkpoint.npz").read_bytes() == b"an epoch further"


@pytest.mark.parametrize("recipe", ["compact", "resnet"])
def test_a_short_trial_of_a_recipe_that_warms_up_has_valid_settings(recipe, make_search):
    settings = {"warmup_epochs": 2}
    search = make_search(recipe=recipe, oracle="hyperband", max_epochs=3, settings=settings, space=("learning_rate",))
    asked = ask(search, job(search, 0), metadata=FINGERPRINTS)
    assert (asked.config.epochs, asked.config.warmup_epochs) == (1, 0.5)
    assert asked.config.progressive_sizes == recipe_config(recipe).progressive_sizes[-1:]


def test_when_the_time_is_over_no_trial_is_begun_and_the_best_are_confirmed(make_search):
    search = make_search(max_hours=1, confirm_top=1)

    def after(minutes):
        return lambda: NOON + timedelta(minutes=minutes)

    for n, minutes in enumerate((0, 59)):
        asked = ask(search, job(search, 0, n), metadata=FINGERPRINTS, clock=after(minutes))
        tell(search, asked.entry.number, Outcome("COMPLETED", 0.5))
    assert ask(search, job(search, 0, 2), metadata=FINGERPRINTS, clock=after(60)).entry.kind == "confirm"


def test_an_ended_search_gives_nothing_more(make_search):
    search = make_search()
    begun = ask(search, job(search, 0), metadata=FINGERPRINTS)
    with changing(search) as state:
        state.status, state.message = "CANCELLED", "Cancelled."
    assert ask(search, job(search, 0), metadata=FINGERPRINTS) == Over("Cancelled.")
    assert ask(search, job(search, 1), metadata=FINGERPRINTS) == Over("Cancelled.")
    state = tell(search, begun.entry.number, Outcome("COMPLETED", 0.5))
    assert (state.status, state.entries[0].score) == ("CANCELLED", 0.5)


def test_a_search_that_has_nothing_more_to_try_is_over_before_its_last_trial_number(make_search):
    search = make_search(oracle="grid", space=("flip",), max_trials=50)
    told_of(search, [0.1, 0.2])
    assert isinstance(ask(search, job(search, 0, 1), metadata=FINGERPRINTS), Over)
    assert load_state(search).exhausted


def test_a_job_of_no_slot_may_ask_too(make_search):
    search = make_search()
    assert ask(search, "by-hand", metadata=FINGERPRINTS) == ask(search, "by-hand", metadata=FINGERPRINTS)


@pytest.mark.parametrize("oracle", ["random", "hyperband"])
def test_a_search_goes_on_after_two_thousand_trials(make_search, oracle):
    hyperband = {"oracle": "hyperband", "max_epochs": 729} if oracle == "hyperband" else {}
    search = make_search(recipe="baseline", space=None, max_trials=5000, **hyperband)
    first = ask(search, job(search, 0), metadata=FINGERPRINTS).entry
    with changing(search) as state:
        for number in range(1, 2000):
            values = first.values | {"learning_rate": 1e-5 + number * 1e-6}
            told = {"status": "COMPLETED", "score": 0.5, "told_utc": first.asked_utc, "job": job(search, 0, number)}
            state.entries.append(first.model_copy(update={"number": number, "values": values, **told}))
    asked = ask(search, job(search, 1), metadata=FINGERPRINTS)
    tell(search, asked.entry.number, Outcome("COMPLETED", 0.5))
    assert asked.entry.number == 2000
    assert load_state(search).entries[2000].score == 0.5
