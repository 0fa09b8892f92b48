"""`list`, `status`, `logs`: what is shown of jobs, runs and searches, from their files alone."""

import io
import json
import re
import threading
import time
from datetime import datetime, timedelta

import pytest
from rich.console import Console
from rich.text import Text

from fer_core.store.clock import utc_now, utc_text
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.telling import tell_speed
from jobs.commands.desk import Desk, new_table
from jobs.owner import this_process
from tests.jobs.parts import (
    NOON,
    asking,
    jobs_of,
    make_finished_run,
    make_job,
    make_run,
    make_search,
    write_epochs,
)


@pytest.fixture
def ask(paths, monkeypatch, capsys):
    return asking(paths, monkeypatch, capsys)


def test_an_empty_list_says_how_to_begin(ask):
    answer = ask("list")
    assert (answer.code, answer.err) == (0, "")
    assert "python -m jobs submit" in answer.out


def test_the_list_has_open_jobs_last_and_no_trials(ask, paths):
    run = make_run(paths)
    write_epochs(run, 2)
    make_job(paths, "train-1", status="SUCCEEDED", finished_utc=utc_text(NOON), arguments={"recipe": "quick"})
    make_job(paths, "train-2", status="RUNNING", run=run.id, started_utc=utc_text(NOON), owner=this_process("w0"))
    make_job(paths, "search.s0.0", task="trial", search="search")
    answer = ask("list")
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines] == ["job", "train-1", "train-2"]
    assert re.search(r"^train-1 +succeeded .* quick", answer.out, re.MULTILINE)
    assert re.search(r"^train-2 +running .* epoch 2 of 5", answer.out, re.MULTILINE)
    assert "search.s0.0" in ask("list", "--trials").out


def test_a_record_or_run_that_is_odd_is_named_and_hides_no_other_job(ask, paths):
    make_job(paths, "good")
    odd = paths.models / "jobs" / "odd.json"
    for content in (b"[" * 100_000, b"{}"):
        odd.write_bytes(content)
        answer = ask("list")
        assert "good" in answer.out
        assert f"Unreadable: The record {odd} is not whole" in answer.out.replace("\n", " ")


def test_a_search_that_goes_on_is_listed_as_running_however_long_ago_it_was_begun(ask, paths):
    search = make_search(paths, [0.4, None], status="RUNNING")
    ended = {"status": "SUCCEEDED", "finished_utc": utc_text(NOON)}
    make_job(paths, "tune-1", task="tune", search=search.id, arguments={"recipe": "smoke"}, **ended)
    for number in range(20):
        make_job(paths, f"{search.id}.s0.{number}", task="trial", search=search.id, **ended)
        make_job(paths, f"gc-{number}", task="gc", **ended)
    lines = ask("list").out.splitlines()
    assert len(lines) == 17
    assert re.fullmatch(r"tune-1 +running +\d+ \w+ +smoke +1 of 2 trials, best 0\.400", lines[-1])
    (line,) = ask("list", "--status", "RUNNING").out.splitlines()[1:]
    assert line.split() == lines[-1].split()


def test_the_job_of_a_trial_shows_its_run(ask, paths):
    search = make_search(paths, [0.4, None], status="RUNNING")
    job_id = f"{search.id}.s0.1"
    with changing(search) as state:
        run = state.change(1, job=job_id).run
    make_job(paths, job_id, task="trial", status="RUNNING", search=search.id, owner=this_process())
    assert re.search(rf"^run +{run}$", ask("status", job_id).out, re.MULTILINE)
    assert re.search(r"trial 1, epoch 0 of 5$", ask("list", "--trials").out, re.MULTILINE)


def test_what_trains_the_best_again_is_listed_as_that(ask, paths):
    search = make_search(paths, [0.4, 0.5])
    job_id = f"{search.id}.s0.2"
    with changing(search) as state:
        again = state.entries[1].model_copy(update={"number": 2, "kind": "confirm", "of": 1, "seed": 7, "job": job_id})
        state.entries.append(again)
    make_job(paths, job_id, task="trial", search=search.id)
    assert re.search(rf"^{job_id} .* trial 1 again, seed 7, epoch 5 of 5, 0\.500$", ask("list", "--trials").out, re.M)


def test_the_status_of_what_can_be_gone_on_with_says_how(ask, paths):
    make_job(paths, "train-1", status="FAILED", message="No room.")
    make_job(paths, "train-2", status="SUCCEEDED")
    assert "python -m jobs resume train-1" in ask("status", "train-1").out
    assert "resume" not in ask("status", "train-2").out


def test_the_list_says_why_a_job_has_failed(ask, paths):
    make_job(paths, "tune-1", task="tune", status="FAILED", message="There is no recipe 'compac'.\nDid you mean …")
    assert ask("list").out.splitlines()[-1].endswith("There is no recipe 'compac'.")
    make_job(paths, "search-1.s0.0", task="trial", message="The images are others here.\n…", refused_by={"bad": 1})
    assert ask("list", "--trials").out.splitlines()[-1].endswith("The images are others here.")


def test_on_a_narrow_terminal_what_is_copied_stays_whole(paths, tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=60, no_color=True)
    table, command = new_table("job", "so far"), f"python train_emotion_model.py --config {tmp_path / 'best.toml'}"
    table.add_row("20260131-120000-attention-random-3f9a.s12.345", "trial 4, epoch 3 of 50, which is a lot")
    Desk(paths, console=console).show(table, Text(command))
    said = console.file.getvalue()
    assert "20260131-120000-attention-random-3f9a.s12.345 " in said
    assert f"{command}\n" in said


def test_the_list_can_be_narrowed_and_read_by_programs(ask, paths):
    make_job(paths, "train-1", status="FAILED", finished_utc=utc_text(NOON), message="It [crashed].")
    make_job(paths, "evaluate-1", task="evaluate")
    (failed,) = json.loads(ask("list", "--status", "FAILED", "--json").out)
    assert (failed["id"], failed["message"]) == ("train-1", "It [crashed].")
    (evaluation,) = json.loads(ask("list", "--task", "evaluate", "--json").out)
    assert evaluation["id"] == "evaluate-1"


def test_a_list_of_many_shows_the_last_ones_unless_all_are_asked_for(ask, paths):
    for number in range(20):
        make_job(paths, f"gc-{number:02}", task="gc", status="SUCCEEDED", finished_utc=utc_text(NOON))
    assert len(ask("list").out.splitlines()) == 16
    assert len(ask("list", "--all").out.splitlines()) == 21


def test_the_status_of_a_training_says_epoch_best_last_and_time_left(ask, paths):
    run = make_run(paths)
    write_epochs(run, 3, seconds=60.0, scores=[0.2, 0.5, 0.4])
    make_job(paths, "train-1", status="RUNNING", run=run.id, attempt=2, crashes=1, owner=this_process("cpu0@here"))
    text = ask("status", "train-1").out
    assert re.search(r"^status +running", text, re.MULTILINE)
    assert re.search(r"^attempt +2 on cpu0@here, 1 crashed", text, re.MULTILINE)
    assert re.search(r"^epoch +3 of 5, at most 2 min left", text, re.MULTILINE)
    assert re.search(r"^best +val_accuracy 0\.5000 in epoch 2", text, re.MULTILINE)
    assert re.search(r"^last +epoch +3 +loss 1\.5000", text, re.MULTILINE)
    assert str(jobs_of(paths).log("train-1")) in text


def test_the_status_of_a_training_is_json_for_programs(ask, paths):
    run = make_run(paths)
    write_epochs(run, 1, seconds=10.0)
    make_job(paths, "train-1", status="RUNNING", run=run.id)
    told = json.loads(ask("status", run.id, "--json").out)
    assert (told["status"], told["job"]["id"], told["run"]["epoch"]) == ("RUNNING", "train-1", 1)
    assert told["run"]["seconds_left"] == 40.0


def test_the_status_of_a_run_without_a_job(ask, paths):
    run = make_finished_run(paths)
    text = ask("status", run.id).out
    assert re.search(rf"^run +{run.id}", text, re.MULTILINE)
    assert re.search(r"^is +succeeded", text, re.MULTILINE)
    assert "left" not in text


def test_the_status_of_a_search_counts_and_shows_what_is_trained(ask, paths):
    search = make_search(paths, [0.40, 0.55, None], status="RUNNING")
    make_job(paths, "tune-1", task="tune", status="SUCCEEDED", search=search.id, finished_utc=utc_text(NOON))
    make_job(paths, f"{search.id}.s0.2", task="trial", search=search.id)
    for name in ("tune-1", search.id):
        text = ask("status", name).out
        assert re.search(r"^trials +2 of 3 completed, 1 running, 0 failed", text, re.MULTILINE)
        assert re.search(r"^best +0\.5500 by trial 1: ", text, re.MULTILINE)
        assert re.search(r"^ +2 +0 of 5 .*learning_rate=0\.003", text, re.MULTILINE)
    told = json.loads(ask("status", search.id, "--json").out)
    assert (told["status"], told["search"]["best_trial"]) == ("RUNNING", 1)
    assert [trial["number"] for trial in told["running"]] == [2]


def test_the_status_of_a_finished_search_names_the_winner_and_how_long_it_took(ask, paths):
    search = make_search(paths, [0.40, 0.55])
    text = ask("status", search.id).out
    assert re.search(rf"^winner +\S+: `python -m jobs best {search.id}`", text, re.MULTILINE)
    assert re.search(r"^time +2 min", text, re.MULTILINE)


def test_a_broken_run_does_not_keep_the_list_from_being_shown(ask, paths):
    run = make_run(paths)
    make_job(paths, "train-1", status="RUNNING", run=run.id)
    (run.folder / "state.json").write_text("{")
    assert "train-1" in ask("list").out
    answer = ask("status", "train-1")
    assert (answer.code, "state of run" in answer.problem) == (2, True)


def test_following_tells_each_epoch_until_the_end(ask, paths):
    run = make_run(paths)
    make_job(paths, "train-1", status="RUNNING", run=run.id, owner=this_process())

    def train() -> None:
        time.sleep(0.5)
        write_epochs(run, 2)
        time.sleep(1.5)
        run.update_state(status="SUCCEEDED")
        jobs_of(paths).change("train-1", status="SUCCEEDED", finished_utc=utc_text(utc_now()))

    thread = threading.Thread(target=train)
    thread.start()
    lines = ask("status", "train-1", "--follow").out.splitlines()
    thread.join()
    assert lines[0] == "running"
    assert any(line.startswith("running  epoch   2") for line in lines)
    assert lines[-1].startswith("succeeded  epoch   2")


def test_the_log_is_printed_whole_or_its_end(ask, paths):
    make_job(paths, "train-1")
    assert ask("logs", "train-1").out == "It has printed nothing yet; it is queued.\n"
    log = jobs_of(paths).log("train-1")
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo [bold]\nthree\n", encoding="utf-8")
    assert ask("logs", "train-1").out == "one\ntwo [bold]\nthree\n"
    assert ask("logs", "train-1", "-n", "1").out == "three\n"
    assert ask("logs", "train-1", "--lines", "-1").code == 2


def test_a_followed_log_ends_with_the_job_and_misses_nothing(ask, paths):
    make_job(paths, "train-1", status="RUNNING", owner=this_process())
    log = jobs_of(paths).log("train-1")
    log.parent.mkdir(parents=True)
    log.write_text("begin\n")

    def work() -> None:
        for number in range(5):
            time.sleep(0.1)
            with log.open("a") as file:
                file.write(f"line {number}\n")
        jobs_of(paths).change("train-1", status="SUCCEEDED", finished_utc=utc_text(utc_now()))

    thread = threading.Thread(target=work)
    thread.start()
    text = ask("logs", "train-1", "-f").out
    thread.join()
    assert text == "begin\n" + "".join(f"line {number}\n" for number in range(5))


def test_the_log_of_a_search_is_that_of_its_trials_each_under_its_name(ask, paths):
    search = make_search(paths, [0.5])
    make_job(paths, "tune-1", task="tune", search=search.id, status="SUCCEEDED")
    for slot, number, text in ((0, 1, "later\n"), (0, 0, "one\ntwo\n"), (1, 0, "beside\n"), (1, 1, "")):
        job = make_job(paths, f"{search.id}.s{slot}.{number}", task="trial", search=search.id)
        log = jobs_of(paths).log(job.id)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
    heads = [f"==> {search.id}.{name} <==\n" for name in ("s0.0", "s1.0", "s0.1")]
    expected = "{}one\ntwo\n\n{}beside\n\n{}later\n".format(*heads)
    assert ask("logs", search.id).out == ask("logs", "tune-1", "-f").out == expected
    assert ask("logs", "tune-1", "-n", "1").out == expected.replace("one\n", "")


def test_a_job_that_failed_before_it_printed_anything_says_why(ask, paths):
    make_job(paths, "tune-1", task="tune", status="FAILED", message="There is no recipe 'compac'.")
    assert ask("logs", "tune-1").out == ask("logs", "tune-1", "-f").out == "There is no recipe 'compac'.\n"


def test_ages_are_those_of_the_last_step(ask, paths):
    moment = utc_now() - timedelta(minutes=90)
    make_job(paths, "train-1", status="RUNNING", started_utc=utc_text(moment), owner=this_process())
    assert re.search(r"train-1 +running +90 min", ask("list").out)


def test_a_running_search_says_when_it_will_have_ended_and_what_was_said_at_its_start(ask, paths):
    search = make_search(paths, [None, None], status="RUNNING", confirm_top=0, stop_early=False)
    make_job(paths, "tune-1", task="tune", status="SUCCEEDED", search=search.id, finished_utc=utc_text(NOON))
    assert "left" not in ask("status", "tune-1").out
    tell_speed(search, 300.0, clock=utc_now)
    with changing(search) as state:
        state.first_estimate_seconds = 9000.0
    text = " ".join(ask("status", "tune-1").out.split())
    assert re.search(r"about 2 h 0[01] min left, at its start it was to take 2 h 30 min", text)
    ends = datetime.fromisoformat(load_state(search).ends_utc).astimezone()
    assert f"0 of 2 trials, until about {ends:%a %H:%M}" in ask("list").out
    told = json.loads(ask("status", search.id, "--json").out)["search"]
    assert (told["first_estimate_seconds"], told["seconds_left"]) == (9000, pytest.approx(7240, abs=100))
