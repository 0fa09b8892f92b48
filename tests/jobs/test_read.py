"""A study that is a job: workers read it together, and it survives the death of the one that sees to it."""

import os
import signal

import pandas
import psutil

from fer_core.job.lifecycle import cancel_job
from fer_core.study.study import find_study
from tests.jobs.conftest import wait_until
from tests.study.test_study import save_video


def test_a_study_is_read_by_all_workers_and_by_those_that_are_left(worker, submit, ended, tmp_path):
    source = tmp_path / "in"
    for number in range(4):
        save_video(source / f"{number}.mp4", 8, number=number)
    workers = [worker("--concurrency", "1", name=f"reader{number}") for number in range(2)]
    job = submit("read", source=str(source), model="tiny")
    (first,) = wait_until(lambda: [one for one in workers if one.trainers()], 90)
    (second,) = set(workers) - {first}
    wait_until(lambda: job.study is not None and job.study.left() and not job.study.has_free_parts(4), 60)
    family = psutil.Process(first.pid).children(recursive=True)
    for process in family:  # else it might be ready before the other one begins
        process.suspend()
    wait_until(second.trainers, 90)
    assert "read_parts[" in second.log
    for process in (*family, first.process):
        os.kill(process.pid, signal.SIGKILL)
    result = ended(job.id, 200).end
    assert (result.status, result.result["files"], result.result["failed"]) == ("SUCCEEDED", 4, 0)
    study = find_study(job.folder)
    assert study.files()["frames"].tolist() == [80] * 4
    frames = pandas.concat([study.readings(table) for table in study.files()["table"]])
    assert not frames.duplicated(["file", "frame"]).any()
    assert (job.folder / "report.html").is_file() and (job.folder / "people.csv").is_file()
    assert job.notes.attempt == 2

    other = submit("read", source=str(source), model="tiny", fps=9)
    wait_until(second.trainers, 60)
    cancel_job(other)
    assert ended(other.id, 30).end.status == "CANCELLED"
    wait_until(lambda: not second.trainers(), 10)
