"""The models that come with the project: run folders in its own models/shipped, each named shipped/NAME.

Found from the package, wherever the models folder of a user is.
"""

from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "models" / "shipped"

SHIPPED_BEST = SHIPPED / "best"
"""The most accurate one: in use where nothing has been promoted."""

SHIPPED_NAME = "shipped/best"
"""How it is named where others are named by their run's id."""


def shipped_models() -> list[Path]:
    """Returns the folders of all of them, the most accurate first."""
    found = {path.parent for path in SHIPPED.glob("[!.]*/manifest.json")}
    return sorted(found, key=lambda folder: (folder != SHIPPED_BEST, folder.name))


def shipped_folder(given: str) -> Path | None:
    """Returns the folder that a name means, with or without `shipped/`; None if no such model is there."""
    name = given.removeprefix("shipped/")
    return next((folder for folder in shipped_models() if folder.name == name), None)


def came_with_the_project(folder: Path) -> bool:
    """Whether a folder is one of theirs, so that nothing in it is foreign."""
    return folder.resolve().parent == SHIPPED.resolve()


def run_name(folder: Path) -> str:
    """Returns how the model in a run's folder is named: by the run's id, or by shipped/NAME."""
    return f"shipped/{folder.name}" if came_with_the_project(folder) else folder.name
