"""A study that is a job: workers read it together, and it survives the death of the one that sees to it."""

import os
import signal

import pandas

from fer_core.job.lifecycle import cancel_job
from fer_core.study.study import find_study
from tests.jobs.conftest import wait_until
from tests.study.test_study import save_video


def test_a_study_is_read_by_all_workers_and_by_those_that_are_left(worker, submit, ended, tmp_path):
    source = tmp_path / "in"
    for number in range(6):
        save_video(source / f"{number}.mp4", 30, number=number)
    workers = [worker("--concurrency", "1", name=f"reader{number}") for number in range(2)]
    job = submit("read", source=str(source), model="tiny")
    wait_until(lambda: all(one.trainers() for one in workers), 90)
    first, second = workers if f"read[{job.id}]" in workers[0].log else workers[::-1]
    assert "read_parts[" in second.log
    family = [*first.trainers(), *first.pool_children(), first.process]
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    result = ended(job.id, 200).end
    assert (result.status, result.result["files"], result.result["failed"]) == ("SUCCEEDED", 6, 0)
    study = find_study(job.folder)
    assert study.files()["frames"].tolist() == [300] * 6
    frames = pandas.concat([study.readings(table) for table in study.files()["table"]])
    assert not frames.duplicated(["file", "frame"]).any()
    assert (job.folder / "report.html").is_file() and (job.folder / "people.csv").is_file()
    assert job.notes.attempt == 2

    other = submit("read", source=str(source), model="tiny", fps=9)
    wait_until(lambda: other.study is not None and other.study.progress(), 60)
    cancel_job(other)
    assert ended(other.id, 30).end.status == "CANCELLED"
    wait_until(lambda: not second.trainers(), 10)
