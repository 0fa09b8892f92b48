"""`list`, `status`, `logs`: what is shown of jobs, runs and searches, from their files alone."""

import io
import json
import re
import threading
import time
from datetime import datetime

import pytest
from rich.console import Console
from rich.text import Text

from fer_core.job.progress import in_words
from fer_core.locks import taken
from fer_core.store.files import utc_now
from fer_core.store.run import save_notes
from fer_core.tuning.entries import Entry
from fer_core.tuning.state import changing, load_state, summary
from fer_core.tuning.trials import tell_speed
from jobs.console import Context, new_table
from tests.jobs.conftest import wait_until
from tests.jobs.parts import end_job, make_finished_run, make_job, make_search, write_epochs


def test_the_list_has_open_jobs_last_and_trials_only_if_they_are_asked_for(ask, paths):
    assert "python -m jobs submit" in ask("list").out
    ended, running = end_job(make_job(paths, "gc"), found=0), make_job(paths, epochs=5)
    write_epochs(running.run, 2)
    search = make_search(paths, [0.4, None], status="RUNNING")
    with changing(search) as state:
        state.change(1, job=f"{search.id}.s0.1")
    with taken(running.lock):
        lines = ask("list").out.splitlines()
        assert [line.split()[0] for line in lines] == ["job", ended.id, running.id]
        assert re.search(r" running .* smoke +epoch 2 of 5$", lines[-1])
    assert re.search(rf"^{search.id}.s0.1 +queued .* trial 1, epoch 0 of 5$", ask("list", "--trials").out, re.M)
    assert f"run  {load_state(search).entries[1].run}" in re.sub(" +", "  ", ask("status", f"{search.id}.s0.1").out)


def test_a_search_is_listed_with_what_it_has_found_and_what_it_confirms(ask, paths):
    job = make_job(paths, "tune", max_trials=2)
    with changing(job.search) as state:
        done = Entry(number=0, seed=0, values={}, run="a", status="COMPLETED", score=0.4)
        state.entries = [done, Entry(number=1, seed=0, values={"learning_rate": 0.1}, run="b")]
    assert re.search(r" running .* smoke +1 of 2 trials, best 0\.400$", ask("list").out, re.M)
    with changing(job.search) as state:
        state.change(1, status="COMPLETED", score=0.5)
        state.entries.append(Entry(number=2, kind="confirm", of=1, seed=1, values={}, run="c"))
    assert "2 trials, best 0.500; 0 of 6 confirmations" in ask("list").out


def test_what_can_be_gone_on_with_says_how_and_why_it_ended_or_could_not_begin(ask, paths):
    failed = end_job(make_job(paths, "tune"), "FAILED", "There is no room.\nMake some.")
    done, refused = end_job(make_job(paths, "gc")), make_job(paths)
    assert "failed" in ask("status", failed.id).out
    assert "resume" not in ask("status", done.id).out
    assert next(line for line in ask("list").out.splitlines() if failed.id in line).endswith("There is no room.")
    assert ask("logs", failed.id).out == ask("logs", failed.id, "-f").out == "There is no room.\nMake some.\n"
    with taken(refused.lock) as held:
        held.note(refused_by={"gpu0@bad/1": "The images are others here."})
    assert ask("list").out.splitlines()[-1].endswith("The images are others here.")
    assert "gpu0@bad/1 could not begin it" in ask("status", refused.id).out


def test_on_a_narrow_terminal_what_is_copied_stays_whole(paths, tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=60, no_color=True)
    table, command = new_table("job", "so far"), f"python train_emotion_model.py --config {tmp_path / 'best.toml'}"
    table.add_row("20260131-120000-attention-random-3f9a.s12.345", "trial 4, epoch 3 of 50, which is a lot")
    Context(paths, console=console).show(table, Text(command))
    said = console.file.getvalue()
    assert "20260131-120000-attention-random-3f9a.s12.345 " in said
    assert f"{command}\n" in said


def test_the_list_can_be_narrowed_and_read_by_programs(ask, paths):
    failed, analysis = end_job(make_job(paths), "FAILED", "It [crashed]."), make_job(paths, "evaluate")
    (told,) = json.loads(ask("list", "--status", "FAILED", "--json").out)
    assert (told["id"], told["message"], told["run"], told["is"]) == (failed.id, "It [crashed].", failed.id, "FAILED")
    (told,) = json.loads(ask("list", "--task", "evaluate", "--json").out)
    assert (told["id"], told["queue"], told["status"]) == (analysis.id, "cpu", "QUEUED")


def test_the_status_of_a_training_says_epoch_best_last_and_time_left(ask, paths):
    job = make_job(paths, epochs=5, monitor="val_accuracy")
    write_epochs(job.run, 3, seconds=60.0, scores=[0.2, 0.5, 0.4])
    with taken(job.lock) as held:
        held.note(attempt=2, crashes=1, worker="cpu0@here")
        text = ask("status", job.id).out
        told = json.loads(ask("status", job.id, "--json").out)
    assert re.search(r"^status +running", text, re.MULTILINE)
    assert re.search(r"^attempt +2 on cpu0@here, 1 crashed", text, re.MULTILINE)
    assert re.search(r"^epoch +3 of 5, at most 2 min left", text, re.MULTILINE)
    assert re.search(r"^best +val_accuracy 0\.5000 in epoch 2", text, re.MULTILINE)
    assert re.search(r"^last +epoch +3 +loss 1\.5000", text, re.MULTILINE)
    assert str(job.log) in text
    assert (told["status"], told["job"]["id"], told["run"]["epoch"]) == ("RUNNING", job.id, 3)
    assert (told["run"]["seconds_left"], told["job"]["owner"]["worker"]) == (120.0, "cpu0@here")


def test_the_status_of_a_search_counts_and_shows_what_is_trained(ask, paths):
    search = make_search(paths, [0.40, 0.55, None], status="RUNNING")
    text = ask("status", search.id).out
    assert re.search(r"^trials +2 of 3 completed, 1 running, 0 failed", text, re.MULTILINE)
    assert re.search(r"^best +0\.5500 by trial 1: ", text, re.MULTILINE)
    assert re.search(r"^ +2 +0 of 5 .*learning_rate=0\.003", text, re.MULTILINE)
    told = json.loads(ask("status", search.id, "--json").out)
    assert (told["status"], told["search"]["best_trial"]) == ("RUNNING", 1)
    assert [trial["number"] for trial in told["running"]] == [2]


def test_the_status_of_a_run_without_a_job_of_a_finished_search_and_of_a_broken_run(ask, paths):
    run, search, broken = make_finished_run(paths), make_search(paths, [0.40, 0.55]), make_job(paths)
    job = make_job(paths, job_id="train-20260131-120000-named")
    save_notes(job.run, name="with more dropout", tags=(), notes="", archived=False)
    assert re.search(rf"^{job.id} .* with more dropout", ask("list").out, re.MULTILINE)
    assert re.search("^name +with more dropout$", ask("status", job.id).out, re.MULTILINE)
    assert re.search(rf"^run +{run.id}\nstatus +succeeded\n", text := ask("status", run.id).out) and "left" not in text
    text = ask("status", search.id).out
    assert re.search(rf"^winner +\S+: `python -m jobs best {search.id}`", text, re.MULTILINE)
    assert re.search(r"^time +2 min", text, re.MULTILINE)
    (broken.folder / "state.json").write_text("{")
    assert make_job(paths, "gc").id in ask("list").out
    answer = ask("status", broken.id)
    assert (answer.code, "state of run" in answer.problem) == (2, True)


def test_following_tells_each_epoch_until_the_end(ask, paths):
    job = make_job(paths, epochs=5)

    def train() -> None:
        with taken(job.lock):
            write_epochs(job.run, 2)
            wait_until(lambda: seen.is_set(), 30)
            job.finish("SUCCEEDED")

    seen, thread = threading.Event(), threading.Thread(target=train)
    thread.start()
    threading.Timer(2.5, seen.set).start()
    lines = ask("status", job.id, "--follow").out.splitlines()
    thread.join()
    assert any(line.startswith("running  epoch   2") for line in lines)
    assert lines[-1].startswith("succeeded  epoch   2")


def test_the_log_is_printed_whole_or_its_end_and_a_followed_one_misses_nothing(ask, paths):
    job = make_job(paths)
    assert ask("logs", job.id).out == "It has printed nothing yet; it is queued.\n"
    job.log.write_text("one\ntwo [bold]\nthree\n", encoding="utf-8")
    assert ask("logs", job.id).out == "one\ntwo [bold]\nthree\n"
    assert ask("logs", job.id, "-n", "1").out == "three\n"
    assert ask("logs", job.id, "--lines", "-1").code == 2
    assert "-n takes a whole number, not 'abc'." in ask("logs", job.id, "-n", "abc").err

    def work() -> None:
        for number in range(5):
            with job.log.open("a") as file:
                file.write(f"line {number}\n")
        job.finish("SUCCEEDED")

    timer = threading.Timer(1.0, work)
    timer.start()
    text = ask("logs", job.id, "-f").out
    timer.join()
    assert text == "one\ntwo [bold]\nthree\n" + "".join(f"line {number}\n" for number in range(5))


def test_the_log_of_a_search_is_that_of_its_trials_each_under_its_name(ask, paths):
    search = make_search(paths, [0.5])
    (search.folder / "output").mkdir()
    for name, text in (("s0.1", "later\n"), ("s0.0", "one\ntwo\n"), ("s1.0", "beside\n"), ("s1.1", "")):
        (search.folder / "output" / f"{name}.txt").write_text(text)
    heads = [f"==> {search.id}.{name} <==\n" for name in ("s0.0", "s1.0", "s0.1")]
    expected = "{}one\ntwo\n\n{}beside\n\n{}later\n".format(*heads)
    assert ask("logs", search.id).out == ask("logs", search.id, "-f").out == expected
    assert ask("logs", search.id, "-n", "1").out == expected.replace("one\n", "")


def test_a_list_of_a_thousand_shows_the_last_ones_at_once_unless_all_are_asked_for(ask, paths):
    done = end_job(make_job(paths, "gc"))
    for number in range(1000):
        done.folder.with_name(f"20250131-120000-gc-{number:04}").symlink_to(done.folder)
    began = time.process_time()
    assert len(ask("list").out.splitlines()) == 16
    assert time.process_time() - began < 3  # alone it takes a tenth of that
    assert len(ask("list", "--all").out.splitlines()) == 1002


def test_a_running_search_says_when_it_will_have_ended_and_what_was_said_at_its_start(ask, paths):
    search = make_search(paths, [None, None], status="RUNNING", confirm_top=0, stop_early=False, parallelism=1)
    assert "left" not in ask("status", search.id).out
    tell_speed(search, 300.0, clock=utc_now)
    with changing(search) as state:
        state.first_estimate_seconds = 9000.0
    text = " ".join(ask("status", search.id).out.split())
    assert re.search(r"about 2 h 0[01] min left, at its start it was to take 2 h 30 min", text)
    ends = datetime.fromisoformat(load_state(search).ends_utc).astimezone()
    assert in_words(summary(search)).endswith(f"0 of 2 trials, until about {ends:%a %H:%M}")
    told = json.loads(ask("status", search.id, "--json").out)["search"]
    assert (told["first_estimate_seconds"], told["seconds_left"]) == (9000, pytest.approx(7240, abs=100))
