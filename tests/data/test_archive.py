"""Zips and tars are read without being unpacked; those that are broken or made to do harm are refused at once."""

import gzip
import io
import lzma
import os
import re
import struct
import tarfile
import tracemalloc
import zipfile
from functools import partial
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


def zip_of(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)[: tarfile.BLOCKSIZE]


def refused(load, path: Path, match: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=match) as caught:
            load(path)
        assert caught.value.hint
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
    (tmp_path / "windows.zip").write_bytes(zip_of(entries))
    assert load(tmp_path / "windows.zip").fingerprint == load(train_and_test).fingerprint


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
    data = zip_of({stand_in.decode(): stand_in for stand_in in stand_ins})
    for stand_in, name in zip(stand_ins, names, strict=True):
        data = data.replace(b"\0\0" + stand_in, b"\0\0" + name)
    path.write_bytes(data)
    return path


def test_names_in_utf_8_need_no_mark_and_those_in_an_unknown_encoding_are_refused(load, tmp_path):
    with opened_zip(zip_without_marks(tmp_path / "a.zip", "utf-8")) as listing:
        assert {picture.label for picture in listing.pictures} == {"기쁨", "슬픔"}
    refused(load, zip_without_marks(tmp_path / "b.zip", "cp949"), "names in an encoding that it does not state")


def test_names_that_are_not_the_utf_8_that_they_say_they_are_are_damage(load, train_and_test, tmp_path):
    path = packed(train_and_test, tmp_path / "faces.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/sad/é.png", b"")
    data = path.read_bytes()
    *before, listed = data.split("é".encode())
    path.write_bytes(b"\xff\xfe".join([*before, listed]))
    with pytest.raises(DatasetError, match="is a broken zip: 'utf-8' codec"):
        load(path)
    path.write_bytes("é".encode().join([b"\xff\xfe".join(before), listed]))
    with pytest.raises(DatasetError, match=r"1 image cannot be read: train/sad/é.png \(damaged in the zip: 'utf-8'"):
        load(path)


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


def encrypted() -> bytes:
    data = bytearray(zip_of(dict.fromkeys(NAMES, b"x")))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def link_in_a_zip() -> bytes:
    out, link = io.BytesIO(), zipfile.ZipInfo(NAMES[0])
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def more_than_declared() -> bytes:
    data = zip_of(dict.fromkeys(NAMES, bytes(2**25)), zipfile.ZIP_DEFLATED)
    return data.replace(struct.pack("<I", 2**25), struct.pack("<I", 1000))


def tar_of(*blocks: bytes) -> bytes:
    return b"".join([*blocks, bytes(1024)])


def negative_size() -> bytes:
    head = bytearray(header(NAMES[1]))
    head[124:136] = b"\xff" * 10 + b"\xfe\x00"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return tar_of(header(NAMES[0]), head)


def extended(body: bytes) -> bytes:
    return tar_of(header("x", tarfile.XHDTYPE, len(body)), body, bytes(-len(body) % 512), header(NAMES[0]))


OUTSIDE = ("../evil.jpg", "train/../../evil.jpg", "/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg")
LINKS, METHODS = (tarfile.SYMTYPE, tarfile.LNKTYPE), (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
LONG_NAMES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
DAMAGED_HEADERS = (b"1" * 400_000, b"18 path=short\n", b"16 size=-000512\n", b"0 a=b\n")
BOMB, MUCH = "unpacks to more than 100 times its size", 2**26 + 2**16
HOSTILE = [
    *((partial(zip_of, {name: b"x"}), f"points outside of it: {re.escape(repr(name))}") for name in OUTSIDE),
    *((partial(tar_of, header(name)), "has an entry that points outside of it: ") for name in OUTSIDE),
    *((partial(tar_of, header(NAMES[0], kind)), "has a link instead of a file: 'train/happy") for kind in LINKS),
    (link_in_a_zip, "has a link instead of a file: 'train/happy"),
    (encrypted, "is encrypted"),
    (partial(zip_of, {"fer2013.zip": zip_of({NAMES[0]: b"x"})}), r"holds no pictures, but fer2013\.zip"),
    *(
        (partial(zip_of, dict.fromkeys(NAMES, b"x"), method), "compressed in a way that is not read")
        for method in METHODS
    ),
    (more_than_declared, "4 images cannot be read"),
    *(
        (lambda name=name: zip_of({name: bytes(MUCH)}, zipfile.ZIP_DEFLATED), BOMB)
        for name in ("fer2013.csv", NAMES[0])
    ),
    *(
        (lambda pack=pack: pack(header(NAMES[0], size=MUCH) + bytes(MUCH)), BOMB)
        for pack in (partial(gzip.compress, compresslevel=1), partial(lzma.compress, preset=0))
    ),
    *(
        (lambda kind=kind: gzip.compress(header("x", kind, 2**30) + bytes(2**25), 1), "header of 1,073,741,824 bytes")
        for kind in LONG_NAMES
    ),
    (negative_size, "is a broken tar: a size of -512 bytes"),
    *((partial(extended, body), "is a broken tar: an extended header that is damaged") for body in DAMAGED_HEADERS),
    (partial(tar_of, header(NAMES[0], tarfile.GNUTYPE_SPARSE, 512), bytes(1024)), "a sparse file in it"),
]
"""What makes an archive that is to do harm, and what is said of it."""


@pytest.mark.parametrize(("make", "match"), HOSTILE, ids=range(len(HOSTILE)))
def test_an_archive_that_is_made_to_do_harm_is_refused_within_bounds(load, tmp_path, make, match):
    (tmp_path / "archive").write_bytes(make())
    refused(load, tmp_path / "archive", match)


def test_more_entries_than_the_memory_holds_are_refused(tmp_path):
    budget, name = EntryBudget(tmp_path / "a.zip"), "x" * 10**8
    with pytest.raises(DatasetError, match="more entries than fit into the memory"):
        for _ in range(memory_bytes() // 10**8):
            budget.take(name)
