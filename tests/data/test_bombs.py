"""Archives that are made to fill the memory or to keep the reader busy for ever are refused at once."""

import gzip
import io
import lzma
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from fer_core.data.contents import UnreadableImagesError
from fer_core.data.unpacking import EntryBudget
from fer_core.errors import DatasetError
from fer_core.resources import memory_bytes

NAMES = ("train/happy/a.png", "train/sad/b.png", "test/happy/c.png", "test/sad/d.png")
SMALL = 24 * 2**20
"""More memory than reading any of these takes. What is in them takes more."""


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)[: tarfile.BLOCKSIZE]


def refused(load, path: Path, match: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=match):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_a_method_that_cannot_be_bounded_is_refused(load, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for name in NAMES:
            archive.writestr(name, bytes(2**20))
    refused(load, tmp_path / "a.zip", "is compressed in a way that is not read here")


def test_a_zip_that_unpacks_to_more_than_it_declares_is_not_believed(load, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(name, bytes(2**26))
    data = path.read_bytes().replace(struct.pack("<I", 2**26), struct.pack("<I", 1000))
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImagesError, match="4 images cannot be read"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["fer2013.csv", "train/happy/a.png"])
def test_a_zip_that_declares_far_more_than_it_holds_is_refused(load, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(2**27))
    refused(load, tmp_path / "a.zip", "unpacks to more than 100 times its size")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_tar_with_an_endless_name_is_refused(load, tmp_path, kind):
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", 1) as stream:
        stream.write(header("x", kind, 2**30))
        stream.write(bytes(2**26))
    refused(load, path, "is a broken tar: an extended header of 1,073,741,824 bytes")


def test_a_tar_with_a_negative_size_is_refused(load, tmp_path):
    head = bytearray(header(NAMES[1]))
    head[124:136] = b"\xff" * 10 + b"\xfe\x00"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    (tmp_path / "a.tar").write_bytes(header(NAMES[0]) + bytes(head) + bytes(10240))
    refused(load, tmp_path / "a.tar", "is a broken tar: a size of -512 bytes")


@pytest.mark.parametrize("body", [b"1" * 400_000, b"18 path=short\n", b"16 size=-000512\n", b"0 a=b\n"])
def test_a_tar_with_a_damaged_extended_header_is_refused(load, tmp_path, body):
    content = header("x", tarfile.XHDTYPE, len(body)) + body + bytes(-len(body) % 512) + header(NAMES[0]) + bytes(1024)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as stream:
        stream.write(content)
    refused(load, tmp_path / "a.tar.gz", "is a broken tar: an extended header that is damaged")


def test_a_sparse_file_in_a_tar_is_refused(load, tmp_path):
    (tmp_path / "a.tar").write_bytes(header(NAMES[0], tarfile.GNUTYPE_SPARSE, 512) + bytes(2048))
    refused(load, tmp_path / "a.tar", "a sparse file in it")


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress])
def test_a_compressed_file_that_unpacks_to_far_too_much_is_refused(load, tmp_path, packed):
    (tmp_path / "a.tar.xz").write_bytes(packed(header(NAMES[0], size=2**27) + bytes(2**27) + bytes(1024)))
    with pytest.raises(DatasetError, match="unpacks to more than 100 times its size"):
        load(tmp_path / "a.tar.xz")


def test_a_csv_of_one_endless_line_is_refused(load, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", b"emotion,pixels,Usage\n" + b"a" * 2**25)
    refused(load, tmp_path / "a.zip", r"line 2 is no csv: longer than 1,048,576 characters")


def test_long_names_in_tars_are_read(load, train_and_test, tmp_path):
    around = "/".join("folder" * 10 for _ in range(4))
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            archive.add(train_and_test, f"{around}/fröhlich")
        assert load(tmp_path / "a.tar").split_fingerprint == load(train_and_test).split_fingerprint


def test_more_entries_than_the_memory_holds_are_refused(tmp_path):
    budget, name = EntryBudget(tmp_path / "a.zip"), "x" * 10**8
    with pytest.raises(DatasetError, match="more entries than fit into the memory"):
        for _ in range(memory_bytes() // 10**8):
            budget.take(name)


def test_the_memory_is_what_ulimit_leaves():
    code = "from fer_core.resources import memory_bytes; print(memory_bytes())"
    child = subprocess.run(
        ["sh", "-c", f'ulimit -v 3000000; exec "{sys.executable}" -c "{code}"'],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(child.stdout) <= 3000000 * 1024


def test_an_archive_in_an_archive_is_named(load, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("train/happy/a.png", b"x")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fer2013.zip", inner.getvalue())
    with pytest.raises(DatasetError, match=r"holds no pictures, but fer2013\.zip") as caught:
        load(tmp_path / "a.zip")
    assert "give that file itself" in caught.value.hint
