"""The state of a search on disk: changed by one at a time, whole after a kill, made good from its earlier copy."""

import json
import shutil
import subprocess
import sys

import pytest

from fer_core.errors import ArtifactError
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import Search, changing, create_search, list_searches, load_state, open_search, summary
from fer_core.tuning.trials import Outcome, ask, reopen_search, tell
from tests.conftest import PROJECT
from tests.tuning.conftest import FINGERPRINTS, NOON


def add_entry(search, **fields) -> None:
    with changing(search) as state:
        number = len(state.entries)
        usual = {"seed": 0, "values": {"learning_rate": 0.1}, "run": f"run-{number}", "job": f"job-{number}"}
        state.entries.append(Entry(**usual | {"number": number} | fields))


@pytest.fixture
def search(make_search):
    return make_search()


def test_a_new_search_has_its_plan_and_nothing_more(paths):
    spec = SearchSpec(recipe="smoke", oracle="grid", space=("flip",), data="sample")
    search = create_search(paths, spec, clock=lambda: NOON)
    assert search.id.startswith("20260131-120000-smoke-grid-")
    assert [path.name for path in search.folder.iterdir()] == ["state.json"]
    again = open_search(paths, search.id)
    assert load_state(again) == SearchState(plan=again.plan)
    assert (again.spec, again.plan.base.data, again.plan.created_utc) == (spec, "sample", "2026-01-31T12:00:00.000Z")
    assert [parameter.name for parameter in again.parameters] == ["flip"]
    assert again.plan.first_values == ({"flip": False},)


def test_a_search_of_one_id_is_made_once(paths):
    first = create_search(paths, SearchSpec(recipe="smoke"), search_id="tune-1")
    add_entry(first)
    second = create_search(paths, SearchSpec(recipe="baseline"), search_id="tune-1")
    assert (second.id, second.spec.recipe, len(load_state(second).entries)) == ("tune-1", "smoke", 1)
    assert list_searches(paths) == [first]


def test_an_earlier_search_gives_its_best_to_try_first(make_search, paths):
    earlier = make_search(space=("learning_rate",))
    for place, rate in enumerate((1e-4, 2e-3, 5e-3)):
        add_entry(earlier, values={"learning_rate": rate}, status="COMPLETED", score=place / 10)
    later = make_search(space=("learning_rate", "flip"), warm_start=earlier.id)
    rates = [values["learning_rate"] for values in later.plan.first_values]
    assert rates == [later.plan.base.learning_rate, 5e-3, 2e-3, 1e-4]
    with pytest.raises(ArtifactError, match="There is no search 'serch-0'") as caught:
        make_search(warm_start="serch-0")
    assert caught.value.hint == "Did you mean 'search-0'?"


def test_a_change_is_saved_once_at_the_end_and_not_at_all_after_an_exception_or_where_nothing_changes(search):
    with changing(search) as state:
        state.message = "changed"
        assert load_state(search).message == ""
    assert load_state(search).message == "changed"
    before = search.state_json.stat().st_ino
    with changing(search):
        pass
    with pytest.raises(ZeroDivisionError), changing(search) as state:
        state.message = str(1 / 0)
    assert search.state_json.stat().st_ino == before


CHANGE_TWENTY_TIMES = """
import sys
from fer_core.paths import Paths
from fer_core.tuning.state import changing, open_search
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


def test_a_kill_at_any_call_leaves_the_state_before_or_after(search, tmp_path, before_every_call, monkeypatch):
    add_entry(search)
    copies = []
    before_every_call(lambda: copies.append(shutil.copytree(search.folder, tmp_path / "copies" / str(len(copies)))))
    add_entry(search)
    tell(search, 1, Outcome("COMPLETED", 0.5, epochs=1))
    monkeypatch.undo()
    found = [load_state(Search(copy, search.paths)).entries for copy in copies]
    assert len(found) >= 8
    assert {len(entries) for entries in found} == {1, 2}
    assert {(one[1].status, one[1].score) for one in found if len(one) > 1} >= {("RUNNING", None)}
    for copy in copies:
        assert b'"plan"' in (copy / "state.json.bak").read_bytes()
        add_entry(Search(copy, search.paths))
        assert len(list(copy.glob(".*.part*"))) <= 1  # this process still lives


DAMAGE = pytest.mark.parametrize("content", [None, b"", b"{", b"[1, 2]", b'{"plan": 1}'])


def damage(path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@DAMAGE
def test_a_damaged_state_is_made_good_from_the_one_before_and_without_that_it_is_one_clear_sentence(search, content):
    add_entry(search)
    before = load_state(search)
    add_entry(search)
    damage(search.state_json, content)
    assert load_state(open_search(search.paths, search.id)) == before
    add_entry(search, run="run-9")
    assert [entry.run for entry in load_state(search).entries] == ["run-0", "run-9"]
    damage(search.state_json, content)
    assert load_state(search) == before
    assert create_search(search.paths, SearchSpec(), search_id=search.id).spec.recipe == "smoke"
    damage(search.state_backup, content)
    with pytest.raises(ArtifactError, match=r"state\.json is no state of a search of this version"):
        load_state(search)


def make_earlier(search, status: str) -> None:
    """Makes the files of a search as earlier versions left them: the plan in a file of its own."""
    state = json.loads(search.state_json.read_bytes())
    (search.folder / "spec.json").write_text(json.dumps(state.pop("plan")))
    search.state_json.write_text(json.dumps(state | {"status": status, "slots": {}}))


@pytest.mark.parametrize("status", ["SUCCEEDED", "CANCELLED"])
def test_a_search_of_an_earlier_version_that_has_ended_is_read_and_never_changed(search, status):
    add_entry(search, status="COMPLETED", score=0.4)
    make_earlier(search, status)
    again = open_search(search.paths, search.id)
    assert (summary(again).status, summary(again).best_score, again.spec.recipe) == (status, 0.4, "smoke")
    with pytest.raises(ArtifactError, match="was begun by an earlier version"):
        reopen_search(again)


def test_a_search_of_an_earlier_version_that_has_not_ended_is_refused_with_what_resumes_it(search, make_search):
    add_entry(search, status="COMPLETED", score=0.4, values={"learning_rate": 0.005})
    make_earlier(search, "RUNNING")
    for action in (load_state, summary, lambda search: ask(search, "job", metadata=FINGERPRINTS)):
        with pytest.raises(ArtifactError, match="was begun by an earlier version") as caught:
            action(search)
    assert "The checkout that began it resumes it" in caught.value.hint
    assert make_search(warm_start=search.id).plan.first_values[1]["learning_rate"] == 0.005


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
