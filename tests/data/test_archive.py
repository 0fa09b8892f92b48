"""Zips and tars, which are read without being unpacked."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from fer_core.data.archive import opened_zip
from fer_core.data.contents import UnreadableImagesError
from fer_core.errors import DatasetError


def zipped(folder: Path, path: Path, *, top: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder)}")
    return path


def tarred(folder: Path, path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, folder.name)
    return path


def zip_of(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("top", ["", "archive/", "archive/fer2013/"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_the_same_data_set_as_its_folder(load, train_and_test, tmp_path, top, compression):
    path = zipped(train_and_test, tmp_path / "faces.zip", top=top, compression=compression)
    from_zip, from_folder = load(path), load(train_and_test)
    assert from_zip.fingerprint == from_folder.fingerprint
    assert from_zip.split_fingerprint == from_folder.split_fingerprint
    assert (from_zip.train.images(slice(None)) == from_folder.train.images(slice(None))).all()


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".txz", "w:xz")])
def test_a_tar_is_the_same_data_set_as_its_folder(load, train_and_test, tmp_path, suffix, mode):
    path = tarred(train_and_test, tmp_path / f"all{suffix}", mode)
    from_tar, from_folder = load(path), load(train_and_test)
    assert from_tar.split_fingerprint == from_folder.split_fingerprint
    assert (from_tar.train.images(slice(None)) == from_folder.train.images(slice(None))).all()


def test_the_suffix_of_an_archive_does_not_matter(load, train_and_test, tmp_path):
    assert load(zipped(train_and_test, tmp_path / "download")).labels == ("angry", "happy", "sad")


def test_an_archive_is_named_after_its_file(load, train_and_test, tmp_path):
    dataset = load(zipped(train_and_test, tmp_path / "faces.zip"))
    assert (dataset.name, dataset.source) == ("faces.zip", str(tmp_path / "faces.zip"))


def test_what_does_not_belong_to_the_data_is_ignored(load, train_and_test, tmp_path):
    path = zipped(train_and_test, tmp_path / "faces.zip", top="fer/")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("__MACOSX/fer/train/sad/._00029.png", "fer/README.txt", "fer/train/sad/Thumbs.db", ".DS_Store"):
            archive.writestr(name, b"something")
    assert load(path).fingerprint == load(train_and_test).fingerprint


def test_folders_written_with_backslashes_are_folders(load, train_and_test, tmp_path):
    files = [file for file in train_and_test.rglob("*") if file.is_file()]
    entries = {str(file.relative_to(train_and_test)).replace("/", "\\"): file.read_bytes() for file in files}
    assert load(zip_of(tmp_path / "windows.zip", entries)).fingerprint == load(train_and_test).fingerprint


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_csv_inside_of_an_archive_is_read(load, write_csv, csv_rows, tmp_path, kind):
    table = write_csv(csv_rows)
    folder = tmp_path / "fer2013"
    folder.mkdir()
    table.rename(folder / "fer2013.csv")
    if kind == "zip":
        packed = zipped(folder, tmp_path / "a.zip", top="x/")
    else:
        packed = tarred(folder, tmp_path / "a.tgz", "w:gz")
    expected = load(folder / "fer2013.csv").split_fingerprint
    assert load(packed).split_fingerprint == load(folder).split_fingerprint == expected


def test_a_changed_archive_is_noticed(load, train_and_test, tmp_path):
    path = zipped(train_and_test, tmp_path / "faces.zip")
    before = load(path).fingerprint
    (train_and_test / "train" / "sad" / "00029.png").unlink()
    zipped(train_and_test, path)
    assert load(path).fingerprint != before


def test_an_archive_written_anew_at_the_same_time_and_size_is_noticed_by_its_tail(load, train_and_test, tmp_path):
    path = zipped(train_and_test, tmp_path / "faces.zip")
    before, status = load(path).fingerprint, path.stat()
    (train_and_test / "train" / "sad").rename(train_and_test / "train" / "sud")
    (train_and_test / "test" / "sad").rename(train_and_test / "test" / "sud")
    zipped(train_and_test, path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load(path).fingerprint != before


@pytest.mark.parametrize("name", ["../evil.jpg", "train/../../evil.jpg", "/evil.jpg", "C:\\evil.jpg", "..\\evil.jpg"])
def test_an_entry_that_points_outside_is_refused_by_name(load, tmp_path, name):
    with pytest.raises(DatasetError, match="has an entry that points outside of it: ") as caught:
        load(zip_of(tmp_path / "evil.zip", {name: b"x", "train/sad/a.jpg": b"x"}))
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), [("../a.jpg", tarfile.REGTYPE), ("/a.jpg", tarfile.REGTYPE)])
def test_an_entry_of_a_tar_that_points_outside_is_refused(load, tmp_path, name, kind):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DatasetError, match="has an entry that points outside of it"):
        load(tmp_path / "evil.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_is_refused(load, tmp_path, kind):
    link = tarfile.TarInfo("train/sad/a.jpg")
    link.type, link.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(DatasetError, match=r"has a link instead of a file: 'train/sad/a\.jpg'") as caught:
        load(tmp_path / "evil.tar")
    assert "tar --dereference" in caught.value.hint


def test_a_link_in_a_zip_is_refused(load, tmp_path):
    link = zipfile.ZipInfo("train/sad/a.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="has a link instead of a file"):
        load(tmp_path / "evil.zip")


def test_a_zip_that_is_cut_short_is_broken(load, train_and_test, tmp_path, paths):
    path = zipped(train_and_test, tmp_path / "faces.zip")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DatasetError, match="is a broken zip: File is not a zip file") as caught:
        load(path)
    assert "unzip -t" in caught.value.hint
    assert_nothing_cached(paths)


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz")])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_tar_that_is_cut_short_is_broken(load, train_and_test, tmp_path, paths, suffix, mode, part):
    path = tarred(train_and_test, tmp_path / f"all{suffix}", mode)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DatasetError, match="is a broken tar: "):
        load(path)
    assert_nothing_cached(paths)


def test_an_entry_damaged_within_a_zip_is_an_unreadable_image(load, train_and_test, tmp_path):
    path = zipped(train_and_test, tmp_path / "faces.zip")
    data = bytearray(path.read_bytes())
    place = data.index((train_and_test / "train" / "sad" / "00029.png").read_bytes())
    data[place + 1000] ^= 255
    path.write_bytes(data)
    with pytest.raises(UnreadableImagesError, match=r"1 image cannot be read: train/sad/00029\.png \(damaged in the"):
        load(path)


def test_an_encrypted_zip_is_refused(load, train_and_test, tmp_path):
    path = zipped(train_and_test, tmp_path / "faces.zip")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="is encrypted"):
        load(path)


def test_an_empty_class_folder_in_a_zip_is_refused(load, train_and_test, tmp_path):
    (train_and_test / "train" / "fear").mkdir()
    with pytest.raises(DatasetError, match="the folder train/fear holds no pictures"):
        load(zipped(train_and_test, tmp_path / "faces.zip"))


def assert_nothing_cached(paths):
    assert not [path for path in (paths.cache / "datasets").glob("*") if path.suffix != ".lock"]


def zip_without_marks(path: Path, names: list[bytes], content: bytes) -> Path:
    """Writes names as bytes that the zip does not say the encoding of."""
    stand_ins = [b"%05d" % number + b"_" * (len(name) - 5) for number, name in enumerate(names)]
    zip_of(path, {stand_in.decode(): content + stand_in for stand_in in stand_ins})
    data = path.read_bytes()
    for stand_in, name in zip(stand_ins, names, strict=True):
        data = data.replace(b"\0\0" + stand_in, b"\0\0" + name)
    path.write_bytes(data)
    return path


def names_in(encoding: str) -> list[bytes]:
    return [f"{label}/{number:05}.png".encode(encoding) for label in ("기쁨", "슬픔") for number in range(2)]


def test_names_in_utf_8_that_are_not_marked_as_such_are_read(tmp_path):
    with opened_zip(zip_without_marks(tmp_path / "a.zip", names_in("utf-8"), b"")) as listing:
        assert {picture.label for picture in listing.pictures} == {"기쁨", "슬픔"}


def test_names_in_an_unknown_encoding_are_refused(load, tmp_path):
    with pytest.raises(DatasetError, match="names in an encoding that it does not state"):
        load(zip_without_marks(tmp_path / "a.zip", names_in("cp949"), b""))
