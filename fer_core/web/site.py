"""`python -m fer_core.web --export-site FOLDER`: the live and the upload page as files, for any web server.

They read on the visitor's device alone, and work without a network after the first visit. The pages are those of the
server, without what needs one.
"""

import json
import shutil
from hashlib import sha256
from itertools import chain
from pathlib import Path

from flask import render_template

from fer_core.errors import ArtifactError, ConfigError
from fer_core.paths import Paths
from fer_core.store.files import write_atomically, write_json
from fer_core.web import assets, uploads
from fer_core.web.app import make_app
from fer_core.web.safety import DEVICE_POLICY
from fer_core.web.service import service
from fer_core.web.settings import WebSettings
from fer_core.web.views import faces

_PAGES = {"live.page": "index.html", "upload.index": "picture.html"}
_STATIC = Path(__file__).parent / "static"
_TAKEN = (
    *("css/*", "device/*", "live/*", "parts/*", "upload/*", "litert/*"),
    *("charts/svg.js", "*.svg", "live.js", "upload.js", "theme.js"),
)
_READING = {
    "description": "device/model.json",
    "detector": "static/device/yunet.tflite",
    "runtime": "static/litert/",
}
_MANIFEST = {
    "name": "Emotion workbench",
    "short_name": "Emotions",
    "description": "Reads facial expressions on this device.",
    "start_url": "index.html",
    "display": "standalone",
    "background_color": "#0d1219",
    "theme_color": "#3a48c8",
    "icons": [{"src": "static/icon.svg", "sizes": "any", "type": "image/svg+xml"}],
}


def export(folder: Path, settings: WebSettings, paths: Paths) -> int:
    """Writes the site with the model that these settings name, and returns its size in bytes.

    Raises ArtifactError: the runtime has not been fetched, or there is no usable model. ConfigError: the folder holds
    something else.
    """
    if not assets.are_there():
        hint = f"{assets.COMMAND} fetches it, once."
        raise ArtifactError("The runtime for browsers has not been fetched.", hint=hint)
    if folder.exists() and not _is_for_a_site(folder):
        raise ConfigError(f"{folder} holds something else than such a site.", hint="Name a new folder.")
    # Nobody signs in to a site, so no address and no secret matters here.
    app = make_app(settings.model_copy(update={"host": "127.0.0.1", "readers": 1}), paths, environ={})
    try:
        with app.test_request_context("/"):
            _write(folder, settings)
    finally:
        service(app).close()
    return sum(file.stat().st_size for file in _files(folder))


def _write(folder: Path, settings: WebSettings) -> None:
    known, weights = faces.in_use()
    for source in chain.from_iterable(map(_STATIC.glob, _TAKEN)):
        target = folder / "static" / source.relative_to(_STATIC)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "device").mkdir(exist_ok=True)
    for old in (folder / "device").glob("model-*.tflite"):
        old.unlink()
    shutil.copyfile(weights, folder / "device" / known["weights"])
    write_json(folder / "device" / "model.json", known)
    write_json(folder / "site.webmanifest", _MANIFEST)
    # What a <meta> cannot say is left out; a web server may add it.
    site = {"model": known["name"], "policy": DEVICE_POLICY.replace("; frame-ancestors 'none'", "")}
    live = faces.live_settings() | {"device": _READING, "url": None}
    limits = {"settings": settings, "most_pictures": uploads.MOST_PICTURES, "together": 0}
    about = {"site": site, "url_for": _address}
    write_atomically(folder / "index.html", render_template("live.html", live=live, page="live", **about))
    picture = render_template("index.html", device=faces.reading_here(_READING), page="upload", **limits, **about)
    write_atomically(folder / "picture.html", picture)
    _write_service_worker(folder)


def _is_for_a_site(folder: Path) -> bool:
    """Whether it is a folder with nothing of somebody else's: an export that was killed may be repeated."""
    own = {*_PAGES.values(), "static", "device", "sw.js", "site.webmanifest"}
    return folder.is_dir() and all(one.name in own or one.name.startswith(".") for one in folder.iterdir())


def _write_service_worker(folder: Path) -> None:
    """Writes sw.js last: what it keeps in browsers is whole then."""
    files = sorted(file for file in _files(folder) if file.name != "sw.js")
    content = sha256()
    for file in files:
        content.update(file.read_bytes())
    names = [file.relative_to(folder).as_posix() for file in files]
    head = f'const NAME = "{content.hexdigest()[:16]}";\nconst FILES = {json.dumps(["./", *names])};\n'
    write_atomically(folder / "sw.js", head + (_STATIC / "device" / "offline.js").read_text())


def _files(folder: Path) -> list[Path]:
    """Returns the site's own files."""
    own = [folder / name for name in (*_PAGES.values(), "sw.js", "site.webmanifest")]
    below = [file for name in ("static", "device") for file in (folder / name).rglob("*")]
    return [file for file in (*own, *below) if file.is_file()]


def _address(endpoint: str, *, filename: str = "", **_: object) -> str:
    """Returns an address as the site has it: relative, so that it may lie in a folder of another site."""
    return f"static/{filename}" if endpoint == "static" else _PAGES[endpoint]
