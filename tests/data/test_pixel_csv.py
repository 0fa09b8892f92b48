"""fer2013.csv and icml_face_data.csv."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from fer_core.errors import DatasetError


def test_public_is_validation_and_private_is_test(load, write_csv, csv_rows):
    dataset = load(write_csv(csv_rows))
    assert [(split.name, len(split)) for split in (dataset.train, dataset.validation, dataset.test)] == [
        ("Training", 30),
        ("PublicTest", 9),
        ("PrivateTest", 9),
    ]
    assert dataset.notes == ("Validation: 9 images of PublicTest.",)


@pytest.mark.parametrize("usage", ["PublicTest", "PrivateTest"])
def test_with_one_of_the_two_it_is_test(load, write_csv, csv_rows, usage):
    dataset = load(write_csv([row for row in csv_rows if row[1] in ("Training", usage)]))
    assert (dataset.test.name, len(dataset.test)) == (usage, 9)
    assert (dataset.validation.name, len(dataset.validation)) == ("validation", 3)


def test_training_rows_alone_are_split(load, write_csv, csv_rows):
    dataset = load(write_csv([row for row in csv_rows if row[1] == "Training"]))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [21, 3, 6]


def test_no_training_rows_are_refused(load, write_csv, csv_rows):
    with pytest.raises(DatasetError, match="The data has PrivateTest and PublicTest but nothing to train on"):
        load(write_csv([row for row in csv_rows if row[1] != "Training"]))


def test_numbers_mean_the_emotions_of_the_csv_not_of_sorted_folders(load, write_csv, noise):
    rows = [(number, "Training", number * 10 + copy) for number in range(7) for copy in range(10)]
    dataset = load(write_csv(rows), validation="none")
    images, names = dataset.train.images(slice(None)), dataset.train.labels
    for number, emotion in enumerate(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")):
        pictures = [noise(number * 10 + copy) for copy in range(10)]
        mine = images[names == dataset.labels.index(emotion), :, :, 0]
        assert all(any(np.array_equal(image, picture) for picture in pictures) for image in mine)


def test_stray_blanks_and_another_order_of_columns_do_not_matter(load, write_csv, csv_rows, noise):
    plain = load(write_csv(csv_rows)).split_fingerprint
    lines = ["emotion, Usage , pixels"]
    for emotion, usage, number in csv_rows:
        lines.append(f" {emotion} , {usage}, {'  '.join(map(str, noise(number).ravel()))} ")
    path = write_csv(csv_rows, name="icml_face_data.csv")
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8-sig", newline="")
    assert load(path).split_fingerprint == plain


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
        ((7, "Training", pixels(2304)), "line 50: the emotion is '7', which is no number from 0 to 6"),
        (("happy", "Training", pixels(2304)), "the emotion is 'happy', which is no number from 0 to 6"),
        (("", "Training", pixels(2304)), "the emotion is '', which is no number from 0 to 6"),
        (("9" * 5000, "Training", pixels(2304)), "the emotion is '9999999"),
        ((0, "Testing", pixels(2304)), "line 50: Usage is 'Testing'"),
        ((0, "Training", "9" * 200_000), "line 50 is no csv: field larger than field limit"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(load, write_csv, csv_rows, paths, row, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load(write_csv([*csv_rows, row]), skip_bad_images=True)
    assert caught.value.hint
    assert not list((paths.cache / "datasets").glob("*-48-*"))


def test_a_row_that_is_too_short_is_refused(load, write_csv, csv_rows):
    path = write_csv(csv_rows)
    path.write_text(path.read_text() + "3\n")
    with pytest.raises(DatasetError, match="line 50: 1 columns, too few"):
        load(path)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("emotion,pixels", "usage"), ("pixels", "emotion and no column usage"), ("a,b,c", "emotion and no column pixels")],
)
def test_missing_columns_are_named(load, write_csv, csv_rows, header, missing):
    with pytest.raises(DatasetError, match=f"fer2013.csv has no column {missing}") as caught:
        load(write_csv(csv_rows, header=header))
    assert "emotion, pixels and Usage" in caught.value.hint


def test_an_empty_csv_is_refused(load, tmp_path):
    (tmp_path / "fer2013.csv").touch()
    with pytest.raises(DatasetError, match=r"has no column emotion and no column pixels and no column usage"):
        load(tmp_path / "fer2013.csv")


def test_a_csv_with_a_header_alone_is_refused(load, write_csv):
    with pytest.raises(DatasetError, match=r"fer2013\.csv has no images"):
        load(write_csv([]))


def test_a_csv_that_is_no_text_is_refused(load, write_csv, csv_rows):
    path = write_csv(csv_rows)
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is no csv: "):
        load(path)


def test_the_first_line_of_another_file_is_not_repeated(load, tmp_path):
    (tmp_path / "accounts.csv").write_text("alice,secret-of-alice,admin\n")
    with pytest.raises(DatasetError, match=r"has no column emotion .*\(of 3 columns in its first line\)") as caught:
        load(tmp_path / "accounts.csv")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress,
        lambda table: table.decode().encode("utf-16"),
        lambda table: tar_of("fer2013/fer2013.csv", table),
        lambda table: gzip.compress(tar_of("fer2013.csv", table)),
    ],
    ids=["gzip", "utf-16", "tar", "tar.gz"],
)
def test_a_table_is_read_by_its_content_whatever_its_name(load, write_csv, csv_rows, tmp_path, packed):
    table = write_csv(csv_rows)
    expected = load(table).split_fingerprint
    other = tmp_path / "other"
    other.mkdir()
    (other / "fer2013.csv").write_bytes(packed(table.read_bytes()))
    assert load(other / "fer2013.csv").split_fingerprint == load(other).split_fingerprint == expected


def tar_of(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
