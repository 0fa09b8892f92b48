"""What must hold of a source's images before anything is trained on them."""

from fer_core.data.contents import Contents
from fer_core.data.decoding import BadImage
from fer_core.errors import DatasetError

_CLASSES_HINT = "At least two emotions are needed, each a folder of pictures (or a number in fer2013.csv)."


class UnreadableImagesError(DatasetError):
    """Some images cannot be read; `bad_images` are all of them."""

    def __init__(self, bad_images: tuple[BadImage, ...]):
        first = "; ".join(f"{bad.name} ({bad.reason})" for bad in bad_images[:3])
        more = f"; and {len(bad_images) - 3:,} more" if len(bad_images) > 3 else ""
        super().__init__(
            f"{len(bad_images):,} {'images' if len(bad_images) > 1 else 'image'} cannot be read: {first}{more}.",
            hint="Repair or remove them, or go on without them with --skip-bad-images.",
        )
        self.bad_images = bad_images


def check_readable(contents: Contents) -> None:
    """Raises UnreadableImagesError where some image could not be decoded."""
    if contents.bad_images:
        raise UnreadableImagesError(contents.bad_images)


def check_classes(contents: Contents, source: str) -> None:
    """Raises DatasetError where there are no images, fewer than two classes, or a class that one part lacks."""
    if not len(contents):
        check_readable(contents)
        raise DatasetError(f"{source} has no images.", hint=_CLASSES_HINT)
    if len(contents.labels) < 2:
        raise DatasetError(f"{source} has one class only, {contents.labels[0]!r}.", hint=_CLASSES_HINT)
    counts = contents.counts()
    for part, of_part in counts.items():
        missing = [label for label, count in of_part.items() if count == 0]
        if missing:
            having = next(other for other, of_other in counts.items() if of_other[missing[0]])
            raise DatasetError(
                f"{source}: {part} has no images of {', '.join(missing)}; {having} has.",
                hint="Put images of every emotion in both, or give one folder without train/ and test/ to split it.",
            )
