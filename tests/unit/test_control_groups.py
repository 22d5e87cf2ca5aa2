"""A container's share of memory and processors, from files as Linux has them in both versions of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamtag import control_groups
from streamtag.control_groups import cores, memory_bytes
from streamtag.networks.engines import machine

SECOND = "0::/pod/worker\n"
FIRST = "12:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/system.slice\n"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of control groups on a machine of 64 processors; of the process's own group nothing is told."""
    monkeypatch.setattr(control_groups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    return tmp_path


def write(groups: Path, own: str, files: dict[str, str]) -> None:
    (groups / "own").write_text(own)
    for name, text in files.items():
        path = groups / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (SECOND, {}, 64),
        (SECOND, {"pod/worker/cpu.max": "max 100000"}, 64),
        (SECOND, {"pod/worker/cpu.max": "200000 100000"}, 2),
        (SECOND, {"pod/worker/cpu.max": "250000 100000"}, 3),  # rounded up
        (SECOND, {"pod/worker/cpu.max": "5000 100000"}, 1),
        (SECOND, {"pod/worker/cpu.max": "max 100000", "pod/cpu.max": "400000 100000"}, 4),  # of the pod
        (SECOND, {"cpu.max": "800000 100000"}, 8),  # all that a container with a view of its own sees
        (SECOND, {"cpu.max": "9900000 100000"}, 64),  # more than there are
        (SECOND, {"cpu.max": "nonsense"}, 64),
        (SECOND, {"cpu.max": ""}, 64),
        (FIRST, {"cpu/docker/abc/cpu.cfs_quota_us": "-1", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, 64),
        (FIRST, {"cpu/docker/abc/cpu.cfs_quota_us": "150000", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, 2),
        (FIRST, {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "10000"}, 5),
        ("", {"cpu.max": "100000 100000"}, 64),
    ],
)
def test_the_cores_that_a_quota_leaves(groups: Path, own: str, files: dict[str, str], expected: int) -> None:
    write(groups, own, files)
    assert cores() == expected


def test_without_control_groups_all_cores_are_there(groups: Path) -> None:
    assert cores() == 64
    assert memory_bytes() > 1e9


@pytest.mark.parametrize(
    ("own", "name"),
    [(SECOND, "pod/worker/memory.max"), (SECOND, "memory.max"), (FIRST, "memory/docker/abc/memory.limit_in_bytes")],
)
def test_the_memory_that_a_limit_leaves(groups: Path, own: str, name: str) -> None:
    write(groups, own, {name: "1000000"})
    assert memory_bytes() == 1_000_000
    write(groups, own, {name: "max"})
    assert memory_bytes() > 1e9


def test_an_inference_has_as_many_threads_as_asked_for_or_as_the_quota_leaves(groups: Path) -> None:
    assert machine.threads(0) == 0  # all: the library knows better which
    write(groups, SECOND, {"cpu.max": "300000 100000"})
    assert machine.threads(0) == 3
    assert machine.threads(6) == 6
    assert machine.this_machine().cores == 3
