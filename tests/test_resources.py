"""The cores and the memory that the process may use, within the limits of its cgroups."""

import os
import subprocess
import sys

import pytest

from fer_core.resources import available_cores, cgroup_quota, core_numbers, memory_bytes
from tests.conftest import PROJECT


@pytest.fixture
def cgroups(tmp_path):
    """A function that writes /proc/self/cgroup and files below /sys/fs/cgroup, and returns the quota found in them."""

    def quota(own: str, **files: str) -> float | None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return cgroup_quota(tmp_path / "cgroup", tmp_path / "own")

    return quota


def test_in_a_container_the_quota_stands_at_the_top(cgroups):
    assert cgroups("0::/\n", **{"cpu.max": "150000 100000\n"}) == 1.5
    assert cgroups("0::/docker/ab12\n", **{"cpu.max": "200000 100000\n"}) == 2


def test_the_smallest_quota_of_all_groups_above_counts(cgroups):
    files = {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n", "cpu.max": "max 100000\n"}
    assert cgroups("0::/a/b\n", **files) == 4


def test_the_first_version_of_cgroups_has_its_quota_in_two_files(cgroups):
    files = {"cpu/jobs/cpu.cfs_quota_us": "50000\n", "cpu/jobs/cpu.cfs_period_us": "100000\n"}
    assert cgroups("4:memory:/x\n2:cpu,cpuacct:/jobs\n0::/\n", **files) == 0.5
    assert cgroups("2:cpu,cpuacct:/jobs\n", **files | {"cpu/jobs/cpu.cfs_quota_us": "-1\n"}) is None


def test_without_a_quota_or_without_cgroups_there_is_no_limit(cgroups, tmp_path):
    assert cgroups("0::/\n", **{"cpu.max": "max 100000\n"}) is None
    assert cgroup_quota(tmp_path / "none", tmp_path / "nothing") is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (2.0, 2), (0.5, 1), (1.5, 2), (64.0, 8)])
def test_part_of_a_core_counts_as_one_and_a_quota_adds_none(monkeypatch, quota, cores):
    monkeypatch.setattr("fer_core.resources.cgroup_quota", lambda: quota)
    monkeypatch.setattr("fer_core.resources.core_numbers", lambda: list(range(8)))
    assert available_cores() == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_a_process_that_is_bound_to_one_core_uses_one():
    bound = f"import os; os.sched_setaffinity(0, [{core_numbers()[0]}])"
    code = f"{bound}; from fer_core.resources import available_cores; print(available_cores())"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True).stdout == "1\n"


@pytest.mark.parametrize(
    ("own", "file"),
    [("0::/a/b\n", "a/memory.max"), ("5:memory:/a\n0::/\n", "memory/a/memory.limit_in_bytes")],
    ids=["second version", "first version"],
)
def test_the_smallest_limit_of_memory_of_all_groups_above_counts(tmp_path, own, file):
    path = tmp_path / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text("1000000\n")
    (tmp_path / "cgroup" / "memory.max").write_text("max\n")
    (tmp_path / "own").write_text(own)
    assert memory_bytes(tmp_path / "cgroup", tmp_path / "own") == 1_000_000
    assert memory_bytes(tmp_path / "none", tmp_path / "nothing") > 2**28


def test_the_limit_of_the_address_space_counts():
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))"
    code = f"{code}; from fer_core.resources import memory_bytes; print(memory_bytes() <= 2**32)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True).stdout == "True\n"
