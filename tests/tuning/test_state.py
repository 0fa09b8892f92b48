"""The state of a search on disk: changed by one at a time, whole after a kill, rebuilt when it is lost."""

import signal
import subprocess
import sys

import pytest
from kills import KilledAtCall

from fer_core.errors import ArtifactError
from fer_core.store.runs import create_run
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.folder import create_search, list_searches, new_search_id, open_search
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import changing, load_state, summary
from fer_core.tuning.telling import Outcome, tell
from tests.conftest import PROJECT
from tests.tuning.conftest import FINGERPRINTS, NOON


def entry(number: int, **fields) -> Entry:
    usual = {"seed": 0, "values": {"learning_rate": 0.1}, "run": f"run-{number}", "job": f"job-{number}"}
    return Entry(**usual | {"number": number} | fields)


def add_entry(search, **fields) -> None:
    with changing(search) as state:
        state.entries.append(entry(len(state.entries), **fields))


@pytest.fixture
def search(make_search):
    return make_search()


@pytest.fixture
def asked_search(make_search):
    """A search with three trials in their runs; the first is told."""
    from fer_core.tuning.asking import ask

    search = make_search()
    for number in range(3):
        ask(search, f"{search.id}.s{number}.0", metadata=FINGERPRINTS)
    tell(search, 0, Outcome("COMPLETED", 0.5))
    return search


def test_a_new_search_has_its_plan_and_an_empty_state(paths):
    spec = SearchSpec(recipe="smoke", oracle="grid", space=("flip",), data="sample")
    search = create_search(paths, spec, clock=lambda: NOON)
    assert search.id.startswith("20260131-120000-smoke-grid-")
    assert sorted(path.name for path in search.folder.iterdir()) == ["spec.json", "state.json"]
    assert load_state(search) == SearchState()
    again = open_search(paths, search.id)
    assert (again.spec, again.base.data, again.plan.created_utc) == (spec, "sample", "2026-01-31T12:00:00.000Z")
    assert [parameter.name for parameter in again.parameters] == ["flip"]
    assert again.first_values == ({"flip": False},)


def test_a_search_of_one_id_is_made_once(paths):
    first = create_search(paths, SearchSpec(recipe="smoke"), search_id="tune-1")
    add_entry(first)
    second = create_search(paths, SearchSpec(recipe="baseline"), search_id="tune-1")
    assert (second.id, second.spec.recipe, len(load_state(second).entries)) == ("tune-1", "smoke", 1)
    assert list_searches(paths) == [first]


def test_data_is_named_so_that_it_is_found_from_anywhere(paths, tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    search = create_search(paths, SearchSpec(recipe="smoke", data="faces"))
    assert search.spec.data == search.base.data == str(tmp_path / "faces")


def test_an_earlier_search_gives_its_best_to_try_first(make_search, paths):
    earlier = make_search(space=("learning_rate",))
    for place, rate in enumerate((1e-4, 2e-3, 5e-3)):
        add_entry(earlier, values={"learning_rate": rate}, status="COMPLETED", score=place / 10)
    later = make_search(space=("learning_rate", "flip"), warm_start=earlier.id)
    rates = [values["learning_rate"] for values in later.first_values]
    assert rates == [later.base.learning_rate, 5e-3, 2e-3, 1e-4]
    with pytest.raises(ArtifactError, match="There is no search 'none'") as caught:
        make_search(warm_start="none")
    assert earlier.id in caught.value.hint


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", "", ".hidden", "a\0b", "a" * 300])
def test_a_hostile_search_id_is_refused(paths, name):
    with pytest.raises(ArtifactError, match="is no search id"):
        open_search(paths, name)
    if name:
        with pytest.raises(ArtifactError, match="is no search id"):
            create_search(paths, SearchSpec(), search_id=name)


def test_a_misspelt_search_is_answered_with_the_nearest(paths, search):
    with pytest.raises(ArtifactError, match="There is no search 'serch-0'") as caught:
        open_search(paths, "serch-0")
    assert caught.value.hint == "Did you mean 'search-0'?"


def test_ids_sort_by_time_and_say_what_they_are():
    spec = SearchSpec(recipe="attention", oracle="bayesian")
    assert new_search_id(spec, lambda: NOON, lambda: "3f9a") == "20260131-120000-attention-bayesian-3f9a"


def test_what_is_changed_is_saved_once_at_the_end(search):
    with changing(search) as state:
        state.message = "changed"
        assert load_state(search).message == ""
    assert load_state(search).message == "changed"


def test_after_an_exception_nothing_is_saved(search):
    before = search.state_json.read_bytes()
    with pytest.raises(ZeroDivisionError), changing(search) as state:
        state.message = str(1 / 0)
    assert search.state_json.read_bytes() == before
    add_entry(search)
    assert len(load_state(search).entries) == 1


def test_where_nothing_changes_nothing_is_written(search):
    add_entry(search)
    before = search.state_json.stat().st_ino, search.state_backup.stat().st_ino
    with changing(search):
        pass
    assert (search.state_json.stat().st_ino, search.state_backup.stat().st_ino) == before


def test_the_state_before_the_last_change_is_kept(search):
    add_entry(search)
    first = search.state_json.read_bytes()
    add_entry(search)
    assert search.state_backup.read_bytes() == first != search.state_json.read_bytes()
    names = sorted(path.name for path in search.folder.iterdir())
    assert names == [".state.lock", "spec.json", "state.json", "state.json.bak"]


def test_a_state_survives_json_and_is_compact(search):
    told = {
        "status": "COMPLETED",
        "score": 0.5,
        "epochs": 3,
        "parameters": 12,
        "latency_ms": 0.5,
        "stopped_early": True,
    }
    for kind in ({}, told, {"kind": "confirm", "of": 1, "seed": 1}):
        add_entry(search, **kind)
    with changing(search) as state:
        state.waits_after, state.refused_by = 1, {"w/1": "no images"}
    assert load_state(search) == state
    assert len(search.state_json.read_bytes()) < 700


CHANGE_TWENTY_TIMES = """
import sys
from fer_core.paths import Paths
from fer_core.tuning.folder import open_search
from fer_core.tuning.state import changing
search = open_search(Paths.from_environment({}, models=sys.argv[1], history=sys.argv[2]), sys.argv[3])
for _ in range(20):
    with changing(search) as state:
        state.failed_in_a_row += 1
"""


def test_of_processes_that_change_it_at_once_none_loses_a_change(search, paths):
    command = [sys.executable, "-c", CHANGE_TWENTY_TIMES, str(paths.models), str(paths.history), search.id]
    children = [subprocess.Popen(command, cwd=PROJECT) for _ in range(3)]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    assert load_state(search).failed_in_a_row == 60


ASK_AND_TELL = """
import sys
from fer_core.paths import Paths
from fer_core.tuning.entries import Entry
from fer_core.tuning.folder import open_search
from fer_core.tuning.state import changing
from fer_core.tuning.telling import Outcome, tell
search = open_search(Paths.from_environment({}, models=sys.argv[1], history=sys.argv[2]), sys.argv[3])
with changing(search) as state:
    number = len(state.entries)
    state.entries.append(Entry(number=number, seed=0, values={}, run=sys.argv[4]))
tell(search, number, Outcome("COMPLETED", 0.5, epochs=number))
"""


def test_a_kill_at_any_call_leaves_the_state_before_or_after(search, paths, tmp_path):
    run = create_run(paths, search.base, kind="trial", parent=search.id)
    killer = KilledAtCall(tmp_path, with_strace=False)
    command = [sys.executable, "-c", ASK_AND_TELL, str(paths.models), str(paths.history), search.id, run.id]
    calls = killer.calls_of(command)
    assert len(calls) >= 12
    for call in calls:
        before = len(load_state(search).entries)
        assert killer.run(command, call) == -signal.SIGKILL
        entries = load_state(search).entries
        assert len(entries) in (before, before + 1)
        assert all(one.score == 0.5 and one.epochs == one.number for one in entries if one.status == "COMPLETED")
        assert SearchState.model_validate_json(search.state_backup.read_bytes()) is not None
    add_entry(search)
    assert list(search.folder.glob(".*.part*")) == []


@pytest.mark.parametrize("damage", ["truncated", "emptied", "removed", "of something else"])
def test_a_damaged_state_is_made_good_from_the_one_before_and_the_runs(asked_search, damage):
    whole = load_state(asked_search)
    content = asked_search.state_json.read_bytes()
    if damage == "removed":
        asked_search.state_json.unlink()
    else:
        new = {"truncated": content[: len(content) // 2], "emptied": b"", "of something else": b"[1, 2]"}[damage]
        asked_search.state_json.write_bytes(new)
    assert load_state(asked_search) == whole
    with changing(asked_search) as state:
        state.message = "goes on"
    assert load_state(asked_search).entries == whole.entries
    assert load_state(asked_search).message == "goes on"


def test_a_state_that_is_lost_with_the_one_before_is_rebuilt_from_the_runs(asked_search):
    whole = load_state(asked_search)
    asked_search.state_json.unlink()
    asked_search.state_backup.write_bytes(b"{")
    found = load_state(asked_search)
    assert found.entries == whole.entries
    assert (found.data_fingerprint, found.code_fingerprint) == (
        FINGERPRINTS.data_fingerprint,
        FINGERPRINTS.code_fingerprint,
    )
    assert found.started_utc == whole.started_utc


def test_a_trial_that_is_in_no_file_any_more_is_named(asked_search):
    lost = load_state(asked_search).entries[1].run
    (asked_search.run_folder(lost) / "trial.json").unlink()
    asked_search.state_json.unlink()
    asked_search.state_backup.unlink()
    with pytest.raises(ArtifactError, match="The state of search search-0 is lost, and trial 1 is in no run") as caught:
        load_state(asked_search)
    assert "warm_start 'search-0'" in caught.value.hint


def test_runs_of_other_searches_are_not_taken_for_its_own(asked_search, make_search, paths):
    other = make_search()
    other.state_json.unlink()
    create_run(paths, other.base, kind="trial", parent=other.id)
    assert load_state(other) == SearchState()


@pytest.mark.parametrize("content", [b"", b"{", b'{"spec": 1}'])
def test_a_damaged_plan_is_one_clear_sentence(search, paths, content):
    search.spec_json.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"spec\.json"):
        print(open_search(paths, search.id).spec)


def test_a_state_that_is_no_file_is_one_clear_sentence(search):
    search.state_json.unlink()
    search.state_json.mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_state(search)


def test_the_summary_counts_trials_and_names_the_best(search):
    add_entry(search, status="COMPLETED", score=0.4)
    add_entry(search, status="COMPLETED", score=0.6)
    add_entry(search, status="FAILED")
    add_entry(search)
    add_entry(search, kind="confirm", of=1, status="COMPLETED", score=0.9)
    found = summary(search)
    assert (found.asked, found.running, found.completed, found.failed, found.confirmations) == (4, 1, 2, 1, 1)
    assert (found.best_score, found.best_trial, found.best_run) == (0.6, 1, "run-1")
    assert (found.id, found.status, found.oracle, found.max_trials) == ("search-0", "RUNNING", "random", 6)


def test_the_first_thing_told_of_a_trial_stays(search):
    add_entry(search)
    tell(search, 0, Outcome("COMPLETED", 0.5, epochs=3))
    state = tell(search, 0, Outcome("FAILED", message="later"))
    assert (state.entries[0].status, state.entries[0].score, state.entries[0].epochs) == ("COMPLETED", 0.5, 3)
    with pytest.raises(ArtifactError, match="has no trial 7; it has 1"):
        tell(search, 7, Outcome("COMPLETED", 0.5))


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_is_a_failure(search, score):
    add_entry(search)
    told = tell(search, 0, Outcome("COMPLETED", score)).entries[0]
    assert (told.status, told.score, told.message) == ("FAILED", None, "Its score is no number.")
    assert load_state(search).entries[0] == told


def test_enough_failures_one_after_the_other_end_the_search(make_search):
    search = make_search(max_failed_in_a_row=2)
    for number, outcome in enumerate([Outcome("FAILED"), Outcome("COMPLETED", 0.1), Outcome("FAILED")]):
        add_entry(search)
        assert tell(search, number, outcome).status == "RUNNING"
    add_entry(search)
    state = tell(search, 3, Outcome("FAILED", message="It does not fit into memory."))
    assert state.status == "FAILED"
    assert state.message == "2 trials failed one after the other; the last one: It does not fit into memory."


HEAVY = {"keras", "tensorflow", "jax", "cv2", "keras_tuner", "matplotlib", "sklearn", "pandas", "numpy"}
LIGHT = (
    *("spec", "space", "folder", "entries", "notes", "state", "stage", "slots"),
    *("fingerprints", "telling", "progress"),
)


def test_what_the_tasks_need_of_a_search_is_light():
    imports = "\n".join(f"import fer_core.tuning.{name}" for name in LIGHT)
    code = f"{imports}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    child = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(child.stdout.split())
    assert "pydantic" in loaded
    assert loaded & HEAVY == set()
