"""`WebSettings`: the command line of `python -m fer_core.web`, and the rules that keep it safe."""

import ipaddress
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field, ValidationError

from fer_core.cli.command_line import parsed, peek
from fer_core.config import Settings, config_error
from fer_core.errors import ConfigError
from fer_core.faces import WIDTHS
from fer_core.paths import Paths
from fer_core.resources import available_cores

PROGRAM = "-m fer_core.web"

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SHORTEST_SECRET = 12


class WebSettings(Settings):
    """How the page is served."""

    host: str = "127.0.0.1"
    """The address to listen on. Another one than this machine's own needs --token or --password-file."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 5000
    """The port; 0 takes a free one and says which."""
    token: str | None = None
    """Whoever has it may use page and API. Better in $FER_WEB_TOKEN: a list of processes shows flags."""
    password_file: Path | None = None
    """A file whose first line is the password of the page."""
    allow_host: tuple[str, ...] = ()
    """More names under which the page is reached: fer.example.org."""
    https: bool = False
    """A proxy in front serves the page under https://: cookies are sent over it only."""
    proxy: str | None = None
    """The address from which a proxy in front connects: its X-Forwarded-For says who asks, X-Forwarded-Proto how."""

    model: str | None = None
    """Read with a run id, a .h5, .keras or .onnx file, best, tiny or ferplus. Default: the model in use."""
    detector: str = "auto"
    """Finds faces: haar, yunet, or auto (yunet where its file is there, never downloads)."""
    detector_model: Path | None = None
    """The .onnx file of yunet. Default: $FER_YUNET, or the one that --detector yunet has downloaded."""
    detection_width: Annotated[int, Field(ge=WIDTHS[0], le=WIDTHS[1])] = 640
    """Faces are looked for on a picture of at most this width; a larger one finds smaller faces."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """A reading with less calibrated confidence is unsure. Default: what the model's validation images ask for."""
    prior: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far the frequencies of the emotions in training are taken out of the answers: 0 not at all, 1 all are equally
    likely. Default: as the model was saved."""

    data_folder: tuple[Path, ...] = ()
    """Data sets are opened in these folders only, on the page and by the jobs that it sends. Without it: in any."""

    export_site: Path | None = None
    """Write live and upload page into this folder, for any web server, and end: they read on the visitor's device."""

    readers: Annotated[int, Field(ge=0, le=256)] = 0
    """Pictures read at the same time; 0 = as many as there are cores."""
    waiting: Annotated[int, Field(ge=0, le=1000)] = 32
    """So many more may wait; who comes then is told to come again (503)."""
    max_upload_mb: Annotated[float, Field(gt=0, le=1000)] = 20.0
    """The largest request, in megabytes. Up to 4 GB of requests may be held in memory at the same time."""
    max_megapixels: Annotated[float, Field(gt=0, le=100)] = 50.0
    """The largest picture. What a file declares is read before it is decoded."""

    max_batch_gb: Annotated[float, Field(gt=0, le=10_000)] = 2.0
    """The largest upload of videos, zips and many pictures, which comes in pieces, in gigabytes."""
    max_kept_gb: Annotated[float, Field(gt=0, le=100_000)] = 10.0
    """So much is kept of such uploads together."""

    @property
    def upload_bytes(self) -> int:
        """The largest request."""
        return int(self.max_upload_mb * 2**20)

    @property
    def pixels(self) -> int:
        """The largest picture."""
        return int(self.max_megapixels * 1_000_000)

    @property
    def predictor_count(self) -> int:
        """Pictures read at the same time."""
        return self.readers or available_cores()


def parse(argv: Sequence[str]) -> tuple[WebSettings, Paths]:
    """Returns settings and folders of a command line, or raises ConfigError; `--help` prints and exits with 0."""
    paths = Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))
    names = [*WebSettings.model_fields, "models-dir", "history-dir"]
    try:
        return parsed(_command_line, argv, program=PROGRAM, names=names, positional=None), paths
    except ValidationError as error:
        raise config_error(error, WebSettings, script=PROGRAM) from None


def _command_line(
    settings: Annotated[tyro.conf.FlagCreatePairsOff[WebSettings], tyro.conf.arg(name="")] = WebSettings(),  # noqa: B008
    models_dir: Annotated[str | None, tyro.conf.arg(help="Where runs are. Default: $FER_MODELS_DIR, models.")] = None,
    history_dir: Annotated[
        str | None, tyro.conf.arg(help="Where CSVs are. Default: $FER_HISTORY_DIR, history.")
    ] = None,
) -> WebSettings:
    """Serve the web page and the API: upload a face, use the camera, watch and steer training."""
    return settings


def secrets_of(settings: WebSettings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the token and the password, those of them that there are. Raises ConfigError for one that is no secret.

    Also where the address is open to other machines and there is neither.
    """
    token = settings.token or environ.get("FER_WEB_TOKEN") or None
    found = tuple(filter(None, (token, _password(settings.password_file))))
    address = _address(settings.host)
    is_local = settings.host == "localhost" or (address is not None and address.is_loopback)
    if not found and not is_local:
        hint = "Set $FER_WEB_TOKEN (or --token), or give --password-file FILE; 127.0.0.1 needs none."
        raise ConfigError(f"--host {settings.host} lets other machines in, and there is no password.", hint=hint)
    for secret in found:
        if len(secret) < _SHORTEST_SECRET:
            hint = f"Take {_SHORTEST_SECRET} or more: python -c 'import secrets; print(secrets.token_hex(24))'"
            raise ConfigError(f"A token or password has {len(secret)} characters.", hint=hint)
    return found


def host_names(settings: WebSettings) -> frozenset[str]:
    """Returns the names, without ports, that the Host header of a request may have. Raises ConfigError for no name."""
    return frozenset({*LOCAL_NAMES, *map(_host_name, (*settings.allow_host, settings.host))})


def _host_name(given: str) -> str:
    """Returns a name or address as a Host header has it, but without a port; an address of IPv6 stands in brackets."""
    text = given.strip().lower()
    address = _address(text)
    if address is not None:
        return f"[{address}]" if address.version == 6 else str(address)
    name = re.sub(r":\d*$", "", text)
    if not re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", name):
        hint = "Give it as it stands in an address: fer.example.org"
        raise ConfigError(f"--allow-host {given!r} is no name of a host.", hint=hint)
    return name


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def password_warning(file: Path | None) -> str:
    """Returns what is wrong with the rights of a file that has the password; empty where nothing is."""
    if file is None or not file.stat().st_mode & stat.S_IROTH:
        return ""
    return f"Warning: every user of this machine can read the password in {file}: chmod o-r {file}"


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"--password-file {file} cannot be read: {reason}.", hint="Give a text file.") from None
    password = lines[0].strip() if lines else ""
    if not password:
        raise ConfigError(f"--password-file {file} is empty.", hint="Its first line is the password.")
    return password
