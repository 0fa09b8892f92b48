"""`make compose-env`: writes the .env that docker-compose.yml asks for, with random passwords. It is never overwritten.

Needs nothing but Python's own library, so that a machine with Docker needs no environment for it.
"""

import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from fer_core.cli import ended
from fer_core.errors import JobError

PASSWORDS = ("REDIS_PASSWORD", "FLOWER_PASSWORD", "WEB_PASSWORD")

_IMAGE_USER = 10001


def main(arguments: Sequence[str]) -> None:
    """Writes the file (./.env, or the one that is named) and says so.

    Raises JobError if there is one that lacks a password.
    """
    path = Path(arguments[0] if arguments else ".env")
    if write_env(path, user=os.getuid(), group=os.getgid()):
        print(f"Written: {path}, readable by its owner only. Next: docker compose up -d")
    else:
        print(f"{path} is there already, with all passwords, and stays as it is.")


def write_env(path: Path, *, user: int, group: int) -> bool:
    """Writes new random passwords and the containers' user; False if the file is there and has what is needed.

    Readable by its owner only, and whole from its first instant. Raises JobError if the file is there and lacks
    something, or cannot be written.
    """
    # Run by root (sudo make …), the containers shall not be root for that.
    user, group = (user, group) if user != 0 else (_IMAGE_USER, _IMAGE_USER)
    passwords = [f"{name}={secrets.token_hex(24)}" for name in PASSWORDS]
    content = "\n".join(["# Secrets of docker-compose.yml.", *passwords, f"FER_UID={user}", f"FER_GID={group}", ""])
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        _check_is_complete(path)
        return False
    except OSError as error:
        raise JobError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _check_is_complete(path: Path) -> None:
    set_here = set(re.findall(r"^(\w+)=.", path.read_text(encoding="utf-8"), re.MULTILINE))
    missing = [name for name in PASSWORDS if name not in set_here]
    if missing:
        raise JobError(
            f"{path} is there already, is never overwritten, and does not set {' and '.join(missing)}.",
            hint=f"Add the line {missing[0]}=… yourself, or move the file away and run this again.",
        )


if __name__ == "__main__":
    sys.exit(ended(lambda: main(sys.argv[1:])))
