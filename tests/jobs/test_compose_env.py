"""`make compose-env`: passwords of docker-compose.yml, random, readable by their owner only, never overwritten."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fer_core.errors import JobError
from jobs.compose_env import PASSWORDS, main, write_env
from tests.conftest import PROJECT

ENV_LINE = re.compile(r"^(\w+)=(.+)$", re.MULTILINE)
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def test_the_passwords_are_random_readable_by_their_owner_only_and_never_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    old = os.umask(0)
    try:
        main([])
    finally:
        os.umask(old)
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert write_env(Path("other"), user=1, group=2)
    mine, other = (dict(ENV_LINE.findall(Path(name).read_text())) for name in (".env", "other"))
    assert set(mine) == set(other) == {*PASSWORDS, "FER_UID", "FER_GID"}
    values = {one[name] for one in (mine, other) for name in PASSWORDS}
    assert len(values) == 2 * len(PASSWORDS) and all(re.fullmatch("[0-9a-f]{48}", value) for value in values)
    assert (other["FER_UID"], other["FER_GID"]) == ("1", "2")
    assert {path.name for path in tmp_path.iterdir()} == {".env", "other"}
    main([])
    assert dict(ENV_LINE.findall(Path(".env").read_text())) == mine and "stays as it is" in capsys.readouterr().out


def test_the_passwords_need_no_environment_and_root_gets_containers_that_are_not_root(tmp_path):
    bare = [sys.executable, "-S", "-m", "jobs.compose_env"]
    answer = subprocess.run(bare, cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "docker compose up" in answer.stdout and (tmp_path / ".env").is_file()
    write_env(tmp_path / "root", user=0, group=0)
    user = re.search(r"--uid (\d+)", DOCKERFILE).group(1)
    assert f"FER_UID={user}\nFER_GID={user}\n" in (tmp_path / "root").read_text()


def test_an_env_file_that_lacks_a_password_is_named_and_left_alone(tmp_path):
    path, content = tmp_path / ".env", "REDIS_PASSWORD=\nFLOWER_PASSWORD=abc\nWEB_PASSWORD=abc\nMY_OWN=1\n"
    path.write_text(content)
    with pytest.raises(JobError, match=r"does not set REDIS_PASSWORD\.") as error:
        main([str(path)])
    assert "REDIS_PASSWORD=" in error.value.hint and path.read_text() == content
