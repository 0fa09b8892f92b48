"""Studies on drawn faces: pictures and small videos, read by real processes."""

import os
import shutil
import signal
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pandas
import psutil
import pytest

from fer_core.cli.live import main
from fer_core.errors import ConfigError, Interrupted, SourceError
from fer_core.locks import read_notes
from fer_core.paths import SHIPPED
from fer_core.study import files as study_files
from fer_core.study import run as study_run
from fer_core.study.files import File, find_files, make_parts
from fer_core.study.people import episodes_table, people_table
from fer_core.study.reading import StudyReader, settled
from fer_core.study.results import report
from fer_core.study.run import ReaderFailedError, read_study
from fer_core.study.settings import ResultSettings, StudyFile, StudySettings
from fer_core.study.study import Study, find_study, open_study
from fer_core.study.tables import joined, read_table, write_table
from tests.conftest import paths_in
from tests.photographs import photograph, written

RATE = 10
AGREEMENT = ("emotion", "seconds", "agreement", "kappa", "low", "high", "icc")


def save_video(path: Path, seconds: float, *, number: int = 0) -> Path:
    """A drawn face that moves a little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": str(RATE), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
        pictures = [cv2.cvtColor(photograph(number, (120 + place, 60)), cv2.COLOR_GRAY2RGB) for place in range(20)]
        for place in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(pictures[place % 20], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two videos and eight pictures, one of each broken, and what is neither."""
    folder = tmp_path_factory.mktemp("source")
    save_video(folder / "day 1" / "walk.mp4", 4)
    (folder / "day 1" / "torn.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    written(folder, {f"pictures/{number}.png": photograph(number, (120, 60)) for number in range(6)})
    cv2.imwrite(str(folder / "pictures" / "empty.png"), np.full((60, 80), 128, np.uint8))
    (folder / "pictures" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (folder / "notes.odt").write_bytes(b"PK")
    (folder / ".hidden.mp4").write_bytes(b"")
    return folder


def made(source: Path | str, folder: Path, paths, **settings) -> Study:
    own = settled(StudySettings(**({"model": "tiny"} | settings)), paths)
    return open_study(folder, StudyFile(source=str(source), settings=own))


def read_here(study: Study, paths) -> Study:
    """Reads a study in this process."""
    study.prepare()
    study.read_parts(StudyReader(study.about.settings, paths))
    assert study.finish()
    return study


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory) -> Study:
    """What one process reads of the source."""
    folder = tmp_path_factory.mktemp("whole")
    return read_here(made(source, folder / "out", paths := paths_in(folder)), paths)


def same_tables(one: Study, folder: Path) -> bool:
    tables = sorted(path.relative_to(one.folder) for path in one.folder.rglob("*.csv"))
    assert len(tables) == 3
    return all((one.folder / table).read_bytes() == (folder / table).read_bytes() for table in tables)


def test_the_command_reads_all_that_can_be_read_with_two_processes_as_with_one(source, whole, tmp_path, capfd):
    main(["--source", str(source), "--study", str(tmp_path / "out"), "--model", "tiny", "--jobs", "2"])
    said = capfd.readouterr().out
    assert same_tables(whole, tmp_path / "out")
    files = pandas.read_csv(tmp_path / "out" / "files.csv", index_col="file")
    assert list(files[files["status"] == "failed"].index) == ["day 1/torn.mp4", "pictures/torn.jpg"]
    assert "1 .odt" in said and "torn.jpg: " in said
    walk = files.loc["day 1/walk.mp4"]
    assert (walk["frames"], walk["with_face"], walk["people"]) == (40, 40, 1)
    assert files.loc["pictures/empty.png", ["status", "faces"]].tolist() == ["read", 0]
    readings = pandas.read_csv(tmp_path / "out" / walk["table"])
    assert readings["seconds"].tolist() == pytest.approx([place / RATE for place in range(40)])
    assert readings[["angry", "happy", "neutral"]].sum(axis=1).between(0, 1).all()
    assert not (tmp_path / "out" / "parts").exists()
    report = (tmp_path / "out" / "report.html").read_text()
    assert "day 1/walk.mp4" in report and "<script" not in report and "src=" not in report


def test_what_is_read_is_not_read_again_and_what_is_new_or_has_changed_is(paths, tmp_path):
    source = written(tmp_path / "in", {f"{number}.png": photograph(number, (120, 60)) for number in range(4)})
    study = read_here(made(source, tmp_path / "out", paths), paths)
    before = study.files().set_index("file")
    (source / "1.png").unlink()
    written(source, {"2.png": photograph(5, (100, 50)), "new.png": photograph(1, (120, 60))})
    study.prepare()
    assert {name for part in study.plan() for name, _ in part.files} == {"2.png", "new.png"}
    read_here(study, paths)
    after = study.files().set_index("file")
    assert list(after.index) == ["0.png", "1.png", "2.png", "3.png", "new.png"]
    assert after.loc["0.png"].equals(before.loc["0.png"])
    pictures = study.readings("readings/pictures.csv")
    assert sorted(set(pictures["file"])) == list(after.index)
    assert pictures.loc[pictures["file"] == "2.png", "x"].item() < pictures.loc[pictures["file"] == "0.png", "x"].item()


def test_a_killed_study_goes_on_where_it_was(source, whole, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(study_files, "PICTURES_IN_A_PART", 2)
    study = made(source, tmp_path / "out", paths)
    study.prepare()
    frames = iter(range(1_000_000))

    def killed_in_the_video() -> None:
        if next(frames) == 12:
            raise Interrupted(signal.SIGTERM)

    with pytest.raises(Interrupted):
        study.read_parts(StudyReader(study.about.settings, paths, before_each=killed_in_the_video))
    study.read_parts(reader := StudyReader(study.about.settings, paths))
    (part,) = [part for part in study.plan() if part.files[0][0].endswith("walk.mp4")]
    os.utime(study.folder / "parts" / f"{part.id}.json", ns=(1, 1))
    study = find_study(study.folder)
    study.prepare()  # a new process: what was read is made into tables, and nothing is left
    assert not study.plan()
    study.read_parts(reader)
    assert study.finish()
    assert same_tables(whole, study.folder)


def test_a_file_that_ends_its_process_is_tried_twice_and_then_named(paths, tmp_path):
    source = written(tmp_path / "in", {f"{number}.png": photograph(number, (120, 60)) for number in range(3)})
    deadly = save_video(source / "deadly.mp4", 30)  # long enough to be caught while it is read
    study = made(source, tmp_path / "out", paths)
    study.prepare()
    killed, is_over = [], threading.Event()

    def kill() -> None:
        while not is_over.wait(0.02):
            for lock in (study.folder / "parts").glob("*.lock"):
                notes = read_notes(lock)
                if notes.at == str(deadly) and notes.pid not in killed and psutil.pid_exists(notes.pid):
                    killed.append(notes.pid)
                    os.kill(notes.pid, signal.SIGSEGV)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        read_study(study, paths, processes=1)
    finally:
        is_over.set()
        thread.join()
    assert study.finish()
    files = study.files().set_index("file")
    assert len(killed) >= 2
    assert files.loc["deadly.mp4", "status"] == "failed" and "ended the process" in files.loc["deadly.mp4", "reason"]
    assert (files.drop(index="deadly.mp4")["status"] == "read").all()


def test_the_pieces_of_a_video_make_the_table_of_the_whole(paths, tmp_path, monkeypatch):
    video = save_video(tmp_path / "in" / "long.mp4", 12)
    whole = read_here(made(video, tmp_path / "whole", paths), paths)
    monkeypatch.setattr(study_files, "PIECE_SECONDS", 4.0)
    pieces = made(video, tmp_path / "pieces", paths)
    pieces.prepare()
    assert sorted((part.start, part.end or 12.0) for part in pieces.plan()) == [(0, 4), (4, 8), (8, 12)]
    read_here(pieces, paths)
    one, other = (study.readings("readings/long.mp4.csv") for study in (whole, pieces))
    assert one["frame"].tolist() == other["frame"].tolist() == list(range(120))
    assert set(other["person"]) == {1}
    assert (one["label"] == other["label"]).mean() > 0.97
    assert np.abs(one["confidence"] - other["confidence"]).max() < 0.05


def test_people_keep_their_numbers_from_piece_to_piece():
    def piece(*rows: tuple[int, int | None, float, bool | None]) -> pandas.DataFrame:
        names = ("frame", "person", "x", "warm_up")
        table = pandas.DataFrame(rows, columns=names).assign(y=0.0, width=10.0, height=10.0)
        return table if table["warm_up"].notna().all() else table.drop(columns="warm_up")

    first = piece((0, 1, 0, None), (0, 2, 50, None), (1, 1, 0, None), (1, 2, 50, None))
    second = piece((1, 1, 50, True), (1, 2, 1, True), (2, 1, 50, False), (2, 2, 1, False), (2, 3, 90, False))
    nobody = piece((2, None, 0, True), (3, None, 0, False))
    table = joined([first, second, nobody])
    assert table["person"].tolist()[:7] == [1, 2, 1, 2, 2, 1, 3]
    assert table["person"].isna().tolist()[7:] == [True]


@pytest.mark.parametrize("fps", [5, 2, 0.2])
def test_so_many_frames_of_a_second_are_read(fps, paths, tmp_path):
    video = save_video(tmp_path / "in.mp4", 12)
    study = read_here(made(video, tmp_path / "out", paths, fps=fps), paths)
    seconds = study.readings("readings/in.mp4.csv")["seconds"].tolist()
    assert seconds == pytest.approx(np.arange(0, 12, 1 / fps), abs=0.21)


def test_a_list_names_files_and_times(source, tmp_path):
    (source / "list.csv").write_text("start;file;end\n;pictures/0.png;\n1,5;day 1/walk.mp4;\n".replace("1,5", "0:01.5"))
    first, walk = find_files(str(source / "list.csv")).files
    assert first == File("pictures/0.png", source / "pictures" / "0.png")
    assert (walk.name, walk.start) == ("day 1/walk.mp4#t=1.5", 1.5)
    (part,) = [part for part in make_parts([walk], "") if part.kind == "video"]
    assert part.start == 1.5 and part.end is None


def test_a_pattern_names_files(source):
    found = find_files(str(source / "**" / "[0-2].png")).files
    assert [file.path.name for file in found] == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [("a.mp4,5,2\n", "ends before"), ("file,start\na.mp4,soon\n", "line 2"), ("", "names no picture")],
)
def test_a_list_that_cannot_be_meant_is_refused(content, words, tmp_path):
    if content.startswith("a.mp4"):
        content = "file,start,end\n" + content
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(SourceError, match=words):
        find_files(str(tmp_path / "list.csv"))


def test_what_a_list_names_twice_is_read_once_and_a_name_that_is_no_utf8_is_left_out(source, tmp_path):
    (source / "twice.csv").write_text("file,group\npictures/0.png,a\npictures/1.png,a\npictures/0.png,b\n")
    assert [file.name for file in find_files(str(source / "twice.csv")).files] == ["pictures/0.png", "pictures/1.png"]
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    (tmp_path / "caf\u00e9.png").write_bytes(b"")
    found = find_files(str(tmp_path))
    assert [file.name for file in found.files] == ["caf\u00e9.png"]
    assert found.left_out == "left out: 1 whose name is no UTF-8"


def test_tables_stay_in_the_study_and_get_names_that_fit_and_what_ends_before_it_begins_is_named(paths, tmp_path):
    video = save_video(tmp_path / "in" / f"{'n' * 240}.mp4", 0.4)
    (tmp_path / "list" / "list.csv").parent.mkdir()
    rows = [f"../in/{video.name},", f"{video},", f"{video},100"]
    (tmp_path / "list" / "list.csv").write_text("\n".join(["file,start", *rows]))
    study = read_here(made(tmp_path / "list" / "list.csv", tmp_path / "out", paths), paths)
    files = study.files().set_index("file")
    assert files["status"].tolist() == ["read", "read", "failed"]
    assert files.iloc[-1]["reason"].endswith("it ends before second 100.") and files["seconds"].min() == 0
    tables = [(study.folder / table).resolve() for table in files["table"] if table]
    assert len(set(tables)) == 2 and all(table.is_relative_to(study.folder.resolve()) for table in tables)
    assert sorted(tmp_path.rglob("*.csv")) == sorted([tmp_path / "list" / "list.csv", study.files_csv, *tables])


def test_a_class_that_is_called_null_is_read_back_as_it_was_written(tmp_path):
    table = pandas.DataFrame({"label": ["null", "None", None], "confidence": [0.5, 0.25, None]})
    write_table(table, tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv")["label"].tolist()[:2] == ["null", "None"]
    assert read_table(tmp_path / "table.csv").iloc[2].isna().all()


def test_a_model_by_its_path_is_found_from_any_folder(paths, tmp_path, monkeypatch):
    shutil.copytree(SHIPPED / "tiny", tmp_path / "elsewhere" / "20260101-000000-tiny-aaaa")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for given in ("20260101-000000-tiny-aaaa", "20260101-000000-tiny-aaaa/model.h5"):
        named = settled(StudySettings(model=given), paths).model
        assert named == str(Path.cwd() / "20260101-000000-tiny-aaaa" / "model.h5")
    assert settled(StudySettings(model="tiny"), paths).model == "tiny"


def test_processes_that_die_before_they_read_are_not_said_to_have_failed_as_others_did(
    source, paths, tmp_path, monkeypatch
):
    study = made(source, tmp_path / "out", paths)
    study.prepare()
    study.log.write_text("Error: No room to write.\n")
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(study_run, "START_SECONDS", 0)
    with pytest.raises(ReaderFailedError, match="has crashed"):
        read_study(study, paths, processes=1)


def test_the_report_says_how_faces_and_people_were_told(whole, paths):
    readings, reader = whole.readings("readings/day 1/walk.mp4.csv"), StudyReader(whole.about.settings, paths)
    tables = {"people": people_table(readings, reader.classifier.labels), "episodes": episodes_table(readings)}
    tables["agreement"] = pandas.DataFrame([dict.fromkeys(AGREEMENT, np.nan) | {"emotion": "all", "seconds": 4.0}])
    text = report(whole, reader, ResultSettings(), tables)
    assert "gets a new number" in text and "SFace" not in text and ">nan" not in text
    odd = whole.about.settings.model_copy(update={"identify": True, "faces": "given", "smoothing": 0.0})
    text = report(
        Study(whole.folder, whole.about.model_copy(update={"settings": odd})), reader, ResultSettings(), tables
    )
    assert "keeps the number if SFace" in text and "gets a new number" not in text
    assert "Each picture was taken for one face" in text and "not smoothed" in text


def test_a_folder_with_something_else_or_another_study_is_not_touched(source, paths, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        made(source, tmp_path / "full", paths)
    made(source, tmp_path / "out", paths, fps=5)
    with pytest.raises(ConfigError, match="another fps"):
        made(source, tmp_path / "out", paths, fps=2)
