import errno
import json
import os
import subprocess

import h5py
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.store import files
from fer_core.store.files import (
    DiskFullError,
    create_atomically,
    full_disk_named,
    read_json,
    replacing,
    sweep,
    temporary_beside,
    write_atomically,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writing_replaces_the_whole_file_as_readable_as_any_other_and_leaves_nothing_else(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    write_atomically(tmp_path / "a.txt", "größer")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer"
    create_atomically(tmp_path / "created", "")
    (tmp_path / "plain").write_text("")
    assert names(tmp_path) == ["a.txt", "created", "plain"]
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_an_error_while_writing_keeps_the_old_file_and_removes_the_new_one(tmp_path):
    write_atomically(tmp_path / "model.h5", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "model.h5") as temporary:
        assert temporary.name.startswith(".model.") and temporary.suffix == ".h5"
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "model.h5").read_bytes() == b"old"
    assert names(tmp_path) == ["model.h5"]


def test_json_has_null_for_nan_and_takes_numpy_numbers_in_their_order(tmp_path):
    values = {"z": float("nan"), "a": np.float32(0.5), "b": (np.int64(3), np.array([1.0, np.inf]))}
    write_json(tmp_path / "a.json", values)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"z": None, "a": 0.5, "b": [3, [1.0, None]]}
    assert list(json.loads(text)) == ["z", "a", "b"] and text.endswith("}\n")


def test_json_that_is_torn_or_missing_is_named(tmp_path):
    (tmp_path / "state.json").write_text('{"status": "RUN')
    with pytest.raises(ArtifactError, match=r"The state of a run cannot be read: .*state\.json is not whole JSON"):
        read_json(tmp_path / "state.json", "state of a run")
    with pytest.raises(ArtifactError, match=r"There is no audit: .*audit\.json is missing"):
        read_json(tmp_path / "audit.json", "audit")


@pytest.mark.parametrize("hard_links", [True, False])
def test_creating_never_overwrites_and_of_many_one_wins(tmp_path, monkeypatch, at_once, hard_links):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not hard_links:
        monkeypatch.setattr(files.os, "link", no_links)
    winners = []

    def create(number):
        try:
            create_atomically(tmp_path / "a.csv", f"{number}")
            winners.append(f"{number}")
        except FileExistsError:
            pass

    at_once(*(lambda number=number: create(number) for number in range(8)))
    assert winners == [(tmp_path / "a.csv").read_text()]
    assert set(names(tmp_path)) <= {"a.csv", ".names.lock"}


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    ours = temporary_beside(tmp_path / "model.h5")
    theirs = tmp_path / ours.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    folder = theirs.with_name(theirs.name.replace("model", "run"))
    (folder / "inside").mkdir(parents=True)
    other_host = tmp_path / f".model.00000000-{dead.pid}-12345678.part.h5"
    for path in (ours, theirs, other_host, tmp_path / ".hidden", tmp_path / "model.part.h5"):
        path.write_bytes(b"")
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert names(tmp_path) == sorted([".hidden", "model.part.h5", ours.name, other_host.name])
    os.utime(other_host, (0, 0))
    sweep(tmp_path)
    assert not other_host.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        RuntimeError(
            "Can't decrement id ref count (unable to close file, errno = 27, error message = 'File too large')"
        ),
    ],
)
def test_every_form_of_a_full_disk_is_named_with_the_room_there_is_and_other_errors_stay(tmp_path, error):
    full = pytest.raises(DiskFullError, match=r"No room to write .*model\.h5: [\d,.]+ MB are free")
    with full as caught, full_disk_named(tmp_path / "model.h5"):
        raise error
    assert "--resume latest" in caught.value.hint
    with pytest.raises(PermissionError), full_disk_named(tmp_path / "model.h5"):
        raise PermissionError(errno.EACCES, "Permission denied")


def write_h5(path):
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file["weights"] = np.ones(1_000_000)


@pytest.mark.parametrize("write", [lambda path: write_atomically(path, b"new" * 1_000_000), write_h5])
def test_a_full_disk_is_named_and_keeps_the_old_file(small_disk, write):
    write_atomically(small_disk / "model.h5", b"old")
    with pytest.raises(DiskFullError, match=r"MB are free there\. What was saved before is kept"):
        write(small_disk / "model.h5")
    assert (small_disk / "model.h5").read_bytes() == b"old"
    assert names(small_disk) == ["model.h5"]
