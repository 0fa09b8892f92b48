import errno
import json
import os
import subprocess
import threading

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


def test_writing_replaces_the_whole_file_and_leaves_nothing_else(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    write_atomically(tmp_path / "a.txt", "größer")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_while_writing_keeps_the_old_file_and_removes_the_new_one(tmp_path):
    write_atomically(tmp_path / "model.h5", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "model.h5") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "model.h5").read_bytes() == b"old"
    assert names(tmp_path) == ["model.h5"]


def test_a_temporary_name_is_hidden_and_keeps_the_suffix(tmp_path):
    temporary = temporary_beside(tmp_path / "model.h5")
    assert temporary.name.startswith(".model.") and temporary.suffix == ".h5"
    assert temporary != temporary_beside(tmp_path / "model.h5")


def test_a_new_file_is_as_readable_for_others_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", "")
    create_atomically(tmp_path / "created", "")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_json_has_null_for_nan_and_takes_numpy_numbers_in_their_order(tmp_path):
    write_json(
        tmp_path / "a.json", {"z": float("nan"), "a": np.float32(0.5), "b": (np.int64(3), np.array([1.0, np.inf]))}
    )
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"z": None, "a": 0.5, "b": [3, [1.0, None]]}
    assert list(json.loads(text)) == ["z", "a", "b"] and text.endswith("}\n")


def test_torn_json_is_named_in_one_sentence(tmp_path):
    (tmp_path / "state.json").write_text('{"status": "RUN')
    with pytest.raises(ArtifactError, match=r"The state of a run cannot be read: .*state\.json is not whole JSON"):
        read_json(tmp_path / "state.json", "state of a run")


def test_bytes_that_are_no_text_are_no_json(tmp_path):
    (tmp_path / "state.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match="is not whole JSON"):
        read_json(tmp_path / "state.json", "state of a run")


def test_missing_json_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"There is no audit: .*audit\.json is missing"):
        read_json(tmp_path / "audit.json", "audit")


def test_creating_never_overwrites(tmp_path):
    create_atomically(tmp_path / "a.csv", "first")
    with pytest.raises(FileExistsError):
        create_atomically(tmp_path / "a.csv", "second")
    assert (tmp_path / "a.csv").read_text() == "first"
    assert names(tmp_path) == ["a.csv"]


def test_creating_never_overwrites_where_there_are_no_hard_links_either(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", no_links)
    create_atomically(tmp_path / "a.csv", "first")
    with pytest.raises(FileExistsError):
        create_atomically(tmp_path / "a.csv", "second")
    assert (tmp_path / "a.csv").read_text() == "first"


def test_of_many_that_create_one_name_one_wins(tmp_path):
    winners = []

    def create(number):
        try:
            create_atomically(tmp_path / "a.csv", f"{number}")
            winners.append(f"{number}")
        except FileExistsError:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == [(tmp_path / "a.csv").read_text()]


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    ours = temporary_beside(tmp_path / "model.h5")
    theirs = tmp_path / ours.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    other_host = tmp_path / f".model.00000000-{dead.pid}-12345678.part.h5"
    for path in (ours, theirs, other_host, tmp_path / ".hidden", tmp_path / "model.part.h5"):
        path.write_bytes(b"")
    sweep(tmp_path)
    assert names(tmp_path) == sorted([".hidden", "model.part.h5", ours.name, other_host.name])
    os.utime(other_host, (0, 0))
    sweep(tmp_path)
    assert not other_host.exists()


def test_sweeping_takes_folders_too_and_a_missing_one_is_clean(tmp_path):
    folder = temporary_beside(tmp_path / "20260131-120000-smoke-0000")
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = tmp_path / folder.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    (left / "inside").mkdir(parents=True)
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert names(tmp_path) == []


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
def test_every_form_of_a_full_disk_is_named_with_the_room_there_is(tmp_path, error):
    said = pytest.raises(DiskFullError, match=r"No room to write .*model\.h5: [\d,.]+ MB are free")
    with said as caught, full_disk_named(tmp_path / "model.h5"):
        raise error
    assert "--resume latest" in caught.value.hint


def test_other_errors_keep_their_names(tmp_path):
    with pytest.raises(PermissionError), full_disk_named(tmp_path / "model.h5"):
        raise PermissionError(errno.EACCES, "Permission denied")


WRITE_UNDER_A_FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from fer_core.store.files import DiskFullError, write_atomically
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_atomically(path, b"new" * 100_000)
except DiskFullError as error:
    print(error)
"""


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path, python):
    write_atomically(tmp_path / "checkpoint.npz", b"old")
    child = python(WRITE_UNDER_A_FILE_SIZE_LIMIT, tmp_path / "checkpoint.npz")
    assert "What was saved before is kept" in child.stdout, child.stderr
    assert (tmp_path / "checkpoint.npz").read_bytes() == b"old"
    assert names(tmp_path) == ["checkpoint.npz"]


WRITE_HDF5_UNDER_A_FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
import h5py, numpy
from fer_core.store.files import DiskFullError, replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with replacing(Path(sys.argv[1])) as temporary, h5py.File(temporary, "w") as file:
        file["weights"] = numpy.ones(1_000_000)
except DiskFullError as error:
    print(error)
"""


def test_an_hdf5_file_that_does_not_fit_leaves_the_old_one(tmp_path, python):
    write_atomically(tmp_path / "model.h5", b"old")
    child = python(WRITE_HDF5_UNDER_A_FILE_SIZE_LIMIT, tmp_path / "model.h5")
    assert "What was saved before is kept" in child.stdout, child.stderr
    assert (tmp_path / "model.h5").read_bytes() == b"old"
    assert names(tmp_path) == ["model.h5"]


def test_a_full_disk_is_named_and_keeps_the_old_file(small_disk):
    write_atomically(small_disk / "model.h5", b"old")
    with pytest.raises(DiskFullError, match=r"MB are free there\. What was saved before is kept"):
        write_atomically(small_disk / "model.h5", b"new" * 1_000_000)
    assert (small_disk / "model.h5").read_bytes() == b"old"
    assert names(small_disk) == ["model.h5"]
