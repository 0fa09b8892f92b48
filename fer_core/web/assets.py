"""`python -m fer_core.web.assets` (`make web-assets`): fetches what browsers run models with, once.

LiteRT for browsers, from the npm registry that is configured here, pinned by checksum. What was fetched stays in the
cache, so that another copy of the project needs no network. Without it the web page reads on the server only.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from fer_core.cli import ended
from fer_core.errors import ArtifactError, ConfigError
from fer_core.paths import Paths, Published, fetched
from fer_core.store.files import write_atomically

COMMAND = "make web-assets"
FOLDER = Path(__file__).parent / "static" / "litert"
VERSION = "2.5.3"
_CHECKSUMS = {
    "core": "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
    "wasm-utils": "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
}
_FILES = {
    "core": (
        "dist/index.js",
        "wasm/litert_wasm_compat_internal.js",
        "wasm/litert_wasm_compat_internal.wasm",
    ),
    "wasm-utils": ("dist/bundle.js",),
}
"""One of its four builds: it runs in every browser, and reads faces as quickly as the others where it was measured."""
_IMPORT = b'"@litertjs/wasm-utils"'
"""A browser finds no package by its name."""


def are_there() -> bool:
    """Returns whether the runtime has been fetched."""
    return (FOLDER / VERSION).is_file()


def check_there() -> None:
    """Raises ArtifactError unless the runtime has been fetched."""
    if not are_there():
        raise ArtifactError("The runtime for browsers has not been fetched.", hint=f"{COMMAND} fetches it, once.")


def main() -> None:
    """Puts the runtime where the page serves it from. Raises ConfigError, SourceError."""
    cache = Paths.from_environment().cache / "web"
    archives = {package: _archive(package, cache) for package in _CHECKSUMS}
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for package, archive in archives.items():
        _unpack(archive, _FILES[package])
    write_atomically(FOLDER / VERSION, "")
    print(f"The runtime for browsers, LiteRT {VERSION}, is in {FOLDER}.")


def _archive(package: str, cache: Path) -> Path:
    published = Published(f"litertjs-{package}-{VERSION}.tgz", "", _CHECKSUMS[package])
    archive = cache / published.name
    if archive.is_file() and published.is_at(archive):
        return archive
    url = f"{_registry()}/@litertjs/{package}/-/{package}-{VERSION}.tgz"
    hint = f"Put it into {cache} by hand: npm pack @litertjs/{package}@{VERSION}"
    return fetched(published._replace(url=url), cache, hint=hint)


def _unpack(archive: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(archive) as packed:
        for name in names:
            content = packed.extractfile(f"package/{name}").read()
            write_atomically(FOLDER / Path(name).name, content.replace(_IMPORT, b'"./bundle.js"'))


def _registry() -> str:
    """Returns the address of the npm registry: $NPM_CONFIG_REGISTRY, else what npm says. Raises ConfigError."""
    given = os.environ.get("NPM_CONFIG_REGISTRY")
    if not given and shutil.which("npm"):
        given = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True).stdout.strip()
    if not given or not given.startswith("http"):
        raise ConfigError(
            "No npm registry is known here, which has the runtime for browsers.",
            hint="Install npm, or name its registry: NPM_CONFIG_REGISTRY=https://… " + COMMAND,
        )
    return given.rstrip("/")


if __name__ == "__main__":
    sys.exit(ended(main))
