"""FER-2013 in each of the forms it is handed round in: the real zip (where $FER_TEST_DATA has it), and its csv."""

import gzip
import io
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.audit import audit
from fer_core.data.dataset import load_dataset
from fer_core.data.splits import fer2013_titles
from fer_core.errors import DatasetError
from fer_core.labels import FER2013_LABELS
from fer_core.paths import Paths

TRAINING = (3995, 436, 4097, 7215, 4965, 4830, 3171)
PUBLIC = (467, 56, 496, 895, 607, 653, 415)
PRIVATE = (491, 55, 528, 879, 626, 594, 416)
BOTH = (958, 111, 1024, 1774, 1233, 1247, 831)


def test_the_real_one_is_recognised_split_and_audited(test_data, fer2013_cache):
    paths = Paths.from_environment({"FER_CACHE_DIR": str(fer2013_cache)})
    fer2013 = load_dataset(TrainConfig(data=str(test_data / "fer2013.zip")), paths, side=48)
    assert fer2013.name == "FER-2013"
    assert (fer2013.train.name, fer2013.validation.name, fer2013.test.name) == ("Training", "validation", "PublicTest")
    out = np.bincount(fer2013.validation.labels)
    whole = out + np.bincount(fer2013.train.labels)
    assert whole.tolist() == list(TRAINING)
    # A tenth but for groups of copies with several labels, which go to one side together.
    assert np.abs(out - whole / 10).max() <= 3
    assert not np.isin(fer2013.validation.hashes, fer2013.train.hashes).any()
    assert 100 < fer2013.test.images(slice(0, 500)).mean() < 160
    assert fer2013.test.names(slice(0, 1))[0].startswith("test/angry/PublicTest_")
    found = audit(fer2013)
    training, public = found.parts
    assert (training.name, training.extra_copies, len(training.conflicting)) == ("Training", 1236, 39)
    assert tuple(public.images.values()) == PUBLIC
    (shared,) = found.shared
    assert (shared.part, shared.other, shared.images) == ("PublicTest", "Training", 280)
    assert (len(found.blank), found.unreadable) == (13, ())


@pytest.mark.parametrize(
    ("parts", "titles"),
    [
        ({"train": TRAINING, "test": PUBLIC}, ["Training", "PublicTest"]),
        ({"train": TRAINING, "test": PRIVATE}, ["Training", "PrivateTest"]),
        ({"train": TRAINING, "test": BOTH}, ["Training", "PublicTest + PrivateTest"]),
        ({"train": TRAINING, "test": PUBLIC, "more images": (0, 0, 0, 3, 0, 1, 0)}, ["Training", "PublicTest", None]),
        ({"Training": TRAINING, "PublicTest": PUBLIC, "PrivateTest": PRIVATE}, [None, None, None]),
        ({"train": (3996, *TRAINING[1:]), "test": PUBLIC}, []),
        ({"train": PUBLIC, "test": PRIVATE}, []),
    ],
)
def test_it_is_recognised_by_its_counts_alone(parts, titles):
    counts = {part: dict(zip(FER2013_LABELS, numbers, strict=True)) for part, numbers in parts.items()}
    expected = {part: title or part for part, title in zip(parts, titles, strict=True)} if titles else None
    assert fer2013_titles(SimpleNamespace(labels=FER2013_LABELS, counts=counts.copy)) == expected


@pytest.mark.parametrize(
    ("usages", "splits", "note"),
    [
        (
            ("Training", "PublicTest", "PrivateTest"),
            [("Training", 30), ("PublicTest", 9), ("PrivateTest", 9)],
            "Validation: 9 images of PublicTest.",
        ),
        (
            ("Training", "PublicTest"),
            [("Training", 27), ("validation", 3), ("PublicTest", 9)],
            "Test: 9 images of PublicTest, as there is no other test part.",
        ),
        (
            ("Training", "PrivateTest"),
            [("Training", 27), ("validation", 3), ("PrivateTest", 9)],
            "Validation: 3 of 30 training images, held out by seed 0.",
        ),
        (
            ("Training",),
            [("Training", 21), ("validation", 3), ("test", 6)],
            "Test: 6 of 30 images, held out by seed 0.",
        ),
    ],
)
def test_the_usages_of_the_csv_are_its_splits(load, write_csv, csv_rows, usages, splits, note):
    dataset = load(write_csv([row for row in csv_rows if row[1] in usages]))
    assert [(split.name, len(split)) for split in (dataset.train, dataset.validation, dataset.test)] == splits
    assert dataset.notes[0] == note


def test_a_csv_without_training_rows_is_refused(load, write_csv, csv_rows):
    with pytest.raises(DatasetError, match="The data has PrivateTest and PublicTest but nothing to train on"):
        load(write_csv([row for row in csv_rows if row[1] != "Training"]))


def test_numbers_mean_the_emotions_of_the_csv_not_of_sorted_folders(load, write_csv, noise):
    rows = [(number, "Training", number * 10 + copy) for number in range(7) for copy in range(10)]
    dataset = load(write_csv(rows), validation="none")
    images, labels = dataset.train.images(slice(None)), dataset.train.labels
    for number, emotion in enumerate(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")):
        pictures = [noise(number * 10 + copy) for copy in range(10)]
        mine = images[labels == dataset.labels.index(emotion), :, :, 0]
        assert all(any(np.array_equal(image, picture) for picture in pictures) for image in mine)


def test_stray_blanks_and_another_order_of_columns_do_not_matter(load, write_csv, csv_rows, noise):
    plain = load(write_csv(csv_rows)).split_fingerprint
    lines = ["emotion, Usage , pixels"]
    for emotion, usage, number in csv_rows:
        lines.append(f" {emotion} , {usage}, {'  '.join(map(str, noise(number).ravel()))} ")
    path = write_csv(csv_rows, name="icml_face_data.csv")
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8-sig", newline="")
    assert load(path).split_fingerprint == plain


def tar_of(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress,
        lambda table: table.decode().encode("utf-16"),
        lambda table: tar_of("fer2013/fer2013.csv", table),
        lambda table: gzip.compress(tar_of("fer2013.csv", table)),
        lambda table: zip_of("x/fer2013.csv", table),
    ],
    ids=["gzip", "utf-16", "tar", "tar.gz", "zip"],
)
def test_a_table_is_read_by_its_content_whatever_its_name(load, write_csv, csv_rows, tmp_path, packed):
    table = write_csv(csv_rows)
    expected = load(table).split_fingerprint
    other = tmp_path / "other"
    other.mkdir()
    (other / "fer2013.csv").write_bytes(packed(table.read_bytes()))
    assert load(other / "fer2013.csv").split_fingerprint == load(other).split_fingerprint == expected


def pixels(count: int, value: str = "7") -> str:
    return " ".join([value] * count)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, "Training", pixels(2303)), r"fer2013\.csv, line 50: 2,303 pixels instead of 2,304"),
        ((0, "Training", pixels(2305)), "2,305 pixels instead of 2,304"),
        ((0, "Training", ""), "the pixels are not numbers: ''"),
        ((0, "Training", "7 x " + pixels(2302)), "the pixels are not numbers: '7 x 7"),
        ((0, "Training", "-1 " + pixels(2303)), "the pixels are not numbers: '-1 7"),
        ((0, "Training", "256 " + pixels(2303)), "a pixel is 256, more than 255"),
        ((8, "Training", pixels(2304)), "line 50: the emotion is '8', which is no number from 0 to 7"),
        (("joyfull", "Training", pixels(2304)), "the emotion is 'joyfull', which is no number from 0 to 7"),
        (("9" * 5000, "Training", pixels(2304)), "the emotion is '9999999"),
        ((0, "Somewhere", pixels(2304)), "line 50: Usage is 'Somewhere'"),
        ((0, "Training", "9" * 200_000), "line 50 is no csv: field larger than field limit"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(load, write_csv, csv_rows, paths, row, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load(write_csv([*csv_rows, row]), skip_bad_images=True)
    assert caught.value.hint
    assert not list((paths.cache / "datasets").glob("*-48-*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column emotion and no column pixels"),
        (b"emotion,pixels\n", "fer2013.csv has no images"),
        (b"a,b,c\n", "has no column emotion and no column pixels"),
        (b"alice,secret-of-alice,admin\n", r"has no column emotion .*\(of 3 columns in its first line\)"),
        (b"emotion,pixels,Usage\n", r"fer2013\.csv has no images"),
        (b"emotion,pixels,Usage\n3\n", "line 2: 1 columns, too few"),
        (b"emotion,pixels,Usage\n\xff\xfe\x00", "is no csv: "),
        (b"emotion,pixels,Usage\n" + b"a" * 2**25, "line 2 is no csv: longer than 1,048,576 characters"),
    ],
    ids=range(8),
)
def test_another_table_is_refused_and_what_it_says_is_not_repeated(load, tmp_path, content, message):
    (tmp_path / "fer2013.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        load(tmp_path / "fer2013.csv")
    assert caught.value.hint
    assert "secret" not in f"{caught.value} {caught.value.hint}"
