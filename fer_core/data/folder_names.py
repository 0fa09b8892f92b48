"""What names of files and folders say: a split, an emotion, a picture, or what a system left behind."""

import re
import unicodedata

from fer_core.errors import DatasetError, printable

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp")
OTHER_PICTURE_SUFFIXES = (
    *(".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".jp2", ".jxl"),
    *(".pgm", ".ppm", ".ico", ".dng", ".cr2", ".nef"),
)
"""Of pictures that are not read here: they are counted and named."""
PICTURES_READ = "JPEG, PNG, BMP or WebP"

_SYSTEM_FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
_FER2013_CSV = re.compile(r"(fer2013|icml_face_data)( ?\(\d+\)|[ _-]copy)?\.csv(\.(gz|bz2|xz))?")
_SPLITS = {
    "train": ("train", "training", "trainset", "trainingset"),
    "validation": (
        *("val", "valid", "validate", "validation", "valset", "validset", "validationset"),
        *("dev", "development", "devset", "eval", "evaluation"),
    ),
    "test": ("test", "testing", "testset"),
    "PublicTest": ("publictest", "testpublic"),
    "PrivateTest": ("privatetest", "testprivate"),
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words}
_SAY_NOTHING = {"set", "data", "dataset", "images", "image", "img", "imgs", "pictures", "faces", "split", "fer"}
_EMOTION_WORDS = {
    *("angry", "anger", "disgust", "disgusted", "fear", "fearful", "afraid", "scared"),
    *("happy", "happiness", "joy", "joyful", "smile", "smiling", "sad", "sadness", "surprise", "surprised"),
    *("neutral", "calm", "contempt", "contemptuous"),
}


def is_picture(name: str) -> bool:
    """Returns whether the file name ends like that of a picture that can be read."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Returns whether the path runs through something hidden, or through what systems and file servers leave behind."""
    return any(part.startswith(".") or part.lower() in _SYSTEM_FOLDERS for part in name.split("/"))


def is_fer2013_csv(name: str) -> bool:
    """Returns whether a file (without its folders) is named like fer2013.csv, also like a browser's second copy."""
    return _FER2013_CSV.fullmatch(name.lower()) is not None


def words_of(name: str) -> list[str]:
    """Returns the words in a name in lower case: those of "FER2013Train" are fer, 2013 and train."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", apart)]


def split_of(folder: str) -> str | None:
    """Returns the split that a folder is named after ("train_set", "valid", "Testing"), or None."""
    return _SPLIT_OF.get(
        "".join(word for word in words_of(folder) if word not in _SAY_NOTHING and not word.isdecimal())
    )


def mentions_split(folder: str) -> bool:
    """Returns whether a word of the name is that of a split."""
    return any(word in _SPLIT_OF for word in words_of(folder))


def is_emotion(folder: str) -> bool:
    """Returns whether the name has a word for one of the emotions that data sets of faces have, in English."""
    return any(word in _EMOTION_WORDS for word in words_of(folder))


def label_of(folder: str, source: str) -> str:
    """Returns the label that a folder's name stands for: lower case, and composed, so that ö is the same everywhere.

    Raises DatasetError where the name has control characters or bytes that are no UTF-8: they would end in every table,
    plot and model file.
    """
    if printable(folder, kept="") != folder:
        raise DatasetError(
            f"{source}: the name of the folder {folder!a} has control characters, or bytes that are no UTF-8.",
            hint="Rename it.",
        )
    return unicodedata.normalize("NFC", folder).strip().lower()
