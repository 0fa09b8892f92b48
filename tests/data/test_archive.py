"""Zips and tars are read without being unpacked; those that are broken or made to do harm are refused at once."""

import gzip
import lzma
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from fer_core.data.archive import opened_zip
from fer_core.data.contents import UnreadableImagesError
from fer_core.data.unpacking import EntryBudget
from fer_core.errors import DatasetError
from fer_core.resources import memory_bytes

NAMES = ("train/happy/a.png", "train/sad/b.png", "test/happy/c.png", "test/sad/d.png")
SMALL = 24 * 2**20
"""More memory than reading any of these takes. What is in them takes more."""


def packed(folder: Path, path: Path, *, top: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    """Packs a folder into a tar, as the suffix says, or into a zip."""
    if ".t" in path.name:
        mode = {".tar": "w", ".xz": "w:xz"}.get(path.suffix, "w:gz")
        with tarfile.open(path, mode) as archive:
            archive.add(folder, f"{top}{folder.name}")
        return path
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder)}")
    return path


def zip_of(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)[: tarfile.BLOCKSIZE]


def refused(load, path: Path, match: str, kind: type[DatasetError] = DatasetError) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=match):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "top", "compression"),
    [
        ("faces.zip", "", zipfile.ZIP_STORED),
        ("faces.zip", "archive/fer2013/", zipfile.ZIP_DEFLATED),
        ("download", "archive/", zipfile.ZIP_STORED),
        *((name, "", 0) for name in ("all.tar", "all.tar.gz", "all.tgz", "all.tar.xz")),
    ],
)
def test_an_archive_is_the_same_data_set_as_its_folder(load, train_and_test, tmp_path, name, top, compression):
    path = packed(train_and_test, tmp_path / name, top=top, compression=compression)
    from_archive, from_folder = load(path), load(train_and_test)
    assert (from_archive.name, from_archive.source) == (name, str(path))
    assert from_archive.fingerprint == from_folder.fingerprint
    assert from_archive.split_fingerprint == from_folder.split_fingerprint
    assert (from_archive.train.images(slice(None)) == from_folder.train.images(slice(None))).all()


def test_what_does_not_belong_to_the_data_is_ignored(load, train_and_test, tmp_path):
    path = packed(train_and_test, tmp_path / "faces.zip", top="fer/")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("__MACOSX/fer/train/sad/._00029.png", "fer/README.txt", "fer/train/sad/Thumbs.db", ".DS_Store"):
            archive.writestr(name, b"something")
    assert load(path).fingerprint == load(train_and_test).fingerprint


def test_folders_written_with_backslashes_are_folders(load, train_and_test, tmp_path):
    files = [file for file in train_and_test.rglob("*") if file.is_file()]
    entries = {str(file.relative_to(train_and_test)).replace("/", "\\"): file.read_bytes() for file in files}
    assert load(zip_of(tmp_path / "windows.zip", entries)).fingerprint == load(train_and_test).fingerprint


def test_long_names_in_tars_are_read(load, train_and_test, tmp_path):
    around = "/".join("folder" * 10 for _ in range(4))
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            archive.add(train_and_test, f"{around}/fröhlich")
        assert load(tmp_path / "a.tar").split_fingerprint == load(train_and_test).split_fingerprint


def test_a_changed_archive_is_noticed_also_at_the_same_time_and_size(load, train_and_test, tmp_path):
    path = packed(train_and_test, tmp_path / "faces.zip")
    before, status = load(path).fingerprint, path.stat()
    for part in ("train", "test"):
        (train_and_test / part / "sad").rename(train_and_test / part / "sud")
    packed(train_and_test, path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load(path).fingerprint != before


def zip_without_marks(path: Path, encoding: str) -> Path:
    """Writes names as bytes that the zip does not say the encoding of."""
    names = [f"{label}/{number:05}.png".encode(encoding) for label in ("기쁨", "슬픔") for number in range(2)]
    stand_ins = [b"%05d" % number + b"_" * (len(name) - 5) for number, name in enumerate(names)]
    data = zip_of(path, {stand_in.decode(): stand_in for stand_in in stand_ins}).read_bytes()
    for stand_in, name in zip(stand_ins, names, strict=True):
        data = data.replace(b"\0\0" + stand_in, b"\0\0" + name)
    path.write_bytes(data)
    return path


def test_names_in_utf_8_need_no_mark_and_those_in_an_unknown_encoding_are_refused(load, tmp_path):
    with opened_zip(zip_without_marks(tmp_path / "a.zip", "utf-8")) as listing:
        assert {picture.label for picture in listing.pictures} == {"기쁨", "슬픔"}
    refused(load, zip_without_marks(tmp_path / "b.zip", "cp949"), "names in an encoding that it does not state")


@pytest.mark.parametrize("name", ["../evil.jpg", "train/../../evil.jpg", "/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg"])
def test_an_entry_that_points_outside_is_refused_by_name(load, tmp_path, name):
    with pytest.raises(DatasetError, match="has an entry that points outside of it: ") as caught:
        load(zip_of(tmp_path / "evil.zip", {name: b"x", "train/sad/a.jpg": b"x"}))
    assert repr(name) in str(caught.value)
    (tmp_path / "evil.tar").write_bytes(header(name) + bytes(1024))
    refused(load, tmp_path / "evil.tar", "has an entry that points outside of it")


def test_a_link_in_an_archive_is_refused(load, tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        (tmp_path / "evil.tar").write_bytes(header("train/sad/a.jpg", kind) + bytes(1024))
        with pytest.raises(DatasetError, match=r"has a link instead of a file: 'train/sad/a\.jpg'") as caught:
            load(tmp_path / "evil.tar")
        assert "tar --dereference" in caught.value.hint
    link = zipfile.ZipInfo("train/sad/a.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(load, tmp_path / "evil.zip", "has a link instead of a file")


@pytest.mark.parametrize(
    ("name", "part"),
    [("a.zip", 0.9), *((name, part) for name in ("a.tar", "a.tar.gz", "a.tar.xz") for part in (0, 0.5))],
)
def test_an_archive_that_is_cut_short_is_broken(load, train_and_test, tmp_path, paths, name, part):
    path = packed(train_and_test, tmp_path / name)
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(DatasetError, match=f"is a broken {'zip' if name == 'a.zip' else 'tar'}: ") as caught:
        load(path)
    assert "unzip -t" in caught.value.hint
    assert not [path for path in (paths.cache / "datasets").glob("*") if path.suffix != ".lock"]


def test_an_entry_damaged_within_a_zip_is_an_unreadable_image(load, train_and_test, tmp_path):
    path = packed(train_and_test, tmp_path / "faces.zip")
    data = bytearray(path.read_bytes())
    data[data.index((train_and_test / "train" / "sad" / "00029.png").read_bytes()) + 1000] ^= 255
    path.write_bytes(data)
    with pytest.raises(UnreadableImagesError, match=r"1 image cannot be read: train/sad/00029\.png \(damaged in the"):
        load(path)


def test_an_encrypted_zip_is_refused(load, train_and_test, tmp_path):
    path = packed(train_and_test, tmp_path / "faces.zip")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(load, path, "is encrypted")


def test_an_archive_in_an_archive_is_named(load, tmp_path):
    inner = zip_of(tmp_path / "inner.zip", {"train/happy/a.png": b"x"}).read_bytes()
    with pytest.raises(DatasetError, match=r"holds no pictures, but fer2013\.zip") as caught:
        load(zip_of(tmp_path / "a.zip", {"fer2013.zip": inner}))
    assert "give that file itself" in caught.value.hint


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_a_method_that_cannot_be_bounded_is_refused(load, tmp_path, method):
    path = zip_of(tmp_path / "a.zip", dict.fromkeys(NAMES, bytes(2**20)), method)
    refused(load, path, "is compressed in a way that is not read here")


def test_a_zip_that_unpacks_to_more_than_it_declares_is_not_believed(load, tmp_path):
    path = zip_of(tmp_path / "a.zip", dict.fromkeys(NAMES, bytes(2**26)), zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 2**26), struct.pack("<I", 1000)))
    refused(load, path, "4 images cannot be read", UnreadableImagesError)


@pytest.mark.parametrize("name", ["fer2013.csv", "train/happy/a.png"])
def test_a_zip_that_declares_far_more_than_it_holds_is_refused(load, tmp_path, name):
    path = zip_of(tmp_path / "a.zip", {name: bytes(2**27)}, zipfile.ZIP_DEFLATED)
    refused(load, path, "unpacks to more than 100 times its size")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_compressed_file_that_unpacks_to_far_too_much_is_refused(load, tmp_path, pack):
    (tmp_path / "a.tar.xz").write_bytes(pack(header(NAMES[0], size=2**27) + bytes(2**27) + bytes(1024)))
    with pytest.raises(DatasetError, match="unpacks to more than 100 times its size"):
        load(tmp_path / "a.tar.xz")


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
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))
    refused(load, tmp_path / "a.tar.gz", "is a broken tar: an extended header that is damaged")


def test_a_sparse_file_in_a_tar_is_refused(load, tmp_path):
    (tmp_path / "a.tar").write_bytes(header(NAMES[0], tarfile.GNUTYPE_SPARSE, 512) + bytes(2048))
    refused(load, tmp_path / "a.tar", "a sparse file in it")


def test_more_entries_than_the_memory_holds_are_refused(tmp_path):
    budget, name = EntryBudget(tmp_path / "a.zip"), "x" * 10**8
    with pytest.raises(DatasetError, match="more entries than fit into the memory"):
        for _ in range(memory_bytes() // 10**8):
            budget.take(name)
