"""Passwords of every kind are planted where people have them, and everything that leaves is searched for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.errors import ConfigError
from streamtag.queue.keys import Keys
from streamtag.settings import Settings

from tests.support import (
    RedisServer,
    RtspServer,
    Worker,
    environment,
    eventually,
    free_port,
    redis_binaries,
    run_cli,
    settings_for,
)
from tests.support.web import PASSWORD, USER, WebServer
from tests.support.worker_process import NULL

SPECIAL = [*"'\"#/?@:&;=%+ \\`$<>[]{}|^~*!,()", "%2F", "ü", "密", "🔑", "://", "@@"]
# Each password is two words with something between them, and neither word may appear anywhere.
LEFT, RIGHT = "kLeFt7q", "kRiGhT9x"
WORDS = (LEFT, RIGHT, PASSWORD)
REDIS_PASSWORD = LEFT + "'\"#/?@:&;=%+ \\`$<>ü" + RIGHT
PATIENT = ("source.attempts=1", "source.backoff_s=0.1", "source.open_timeout_s=5", "worker.slots=4")


def planted(special: str) -> str:
    return f"{LEFT}{special}{RIGHT}"


def leaks(text: str) -> list[str]:
    """The lines in which a planted word stands, also in another coding."""
    return [line[:300] for line in text.splitlines() if any(word.lower() in line.lower() for word in WORDS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    url = f"redis://:{quote(REDIS_PASSWORD, safe='')}@127.0.0.1:{{port}}/0"
    folder = tmp_path_factory.mktemp("redis-secret")
    # In a file, as people do: an argument would be seen in the list of processes, and blanks would part it.
    escaped = REDIS_PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    (folder / "secret.conf").write_text(f'requirepass "{escaped}"\n', encoding="utf-8")
    with RedisServer(redis_binaries()[0], folder, "--include", str(folder / "secret.conf"), url=url) as found:
        yield found


@pytest.fixture
def settings(server: RedisServer) -> Settings:
    """The password apart, as it is."""
    return settings_for(server, redis__url=f"redis://127.0.0.1:{server.port}/0", redis__password=REDIS_PASSWORD)


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    found = RtspServer("admin", planted("!"))
    found.start()
    yield found
    found.stop()


def sources(web: WebServer, camera: RtspServer) -> list[str]:
    """One job for each special character and each place in which people put passwords; some good, most failing."""
    host, closed = web.url.removeprefix("http://"), free_port()
    forms = [
        "http://viewer:{0}@" + host + "/secret/clip.mp4",  # 401
        "http://" + host + "/clip.mp4?token={0}",  # good
        "http://viewer:{0}@127.0.0.1:" + str(closed) + "/clip.mp4",  # nobody there
        "rtsp://admin:{0}@127.0.0.1:" + str(camera.port) + "/secret",  # wrong password
        "http://" + host + "/404?user=admin&pass={0}&channel=1",
        "http://" + host + "/user=admin_password={0}_channel=1.mp4",  # not found; XMEye's way
    ]
    found = [forms[number % len(forms)].format(planted(char)) for number, char in enumerate(SPECIAL)]
    return [*found, f"http://{USER}:{PASSWORD}@{host}/secret/clip.mp4", f"http://nowhere.invalid/{planted('=')}"]


def everything_in(server: RedisServer) -> str:
    """Each key, field and entry."""
    parts = []
    with server.client("replace") as client:  # the state of a smoother is no text
        for name in client.scan_iter():
            parts.append(name)
            kind = client.type(name)
            if kind == "hash":
                parts += [f"{name} {field} {value}" for field, value in client.hgetall(name).items()]
            elif kind == "stream":
                parts += [f"{name} {entry}" for entry in client.xrange(name)]
            else:
                parts.append(f"{name} {client.get(name)!r}")
    return "\n".join(parts)


def seen_from_outside(process: psutil.Process, *files: str) -> str:
    """What other processes of this user see of one: arguments, name and environment."""
    folder = Path("/proc") / str(process.pid)
    try:
        found = [(folder / name).read_bytes() for name in files or ("cmdline", "comm", "environ")]
    except OSError:  # it has ended meanwhile
        return ""
    return "\n".join(part.replace(b"\0", b"\n").decode("utf-8", "replace") for part in found)


def core_bytes(process: psutil.Process) -> int:
    """How large a core file it would leave."""
    try:
        return int(process.rlimit(psutil.RLIMIT_CORE)[0])
    except psutil.NoSuchProcess:
        return 0


def submit_raw(server: RedisServer, keys: Keys, number: int, source: str) -> None:
    """As a producer in another language does, which checks nothing."""
    with server.client() as client:
        client.xadd(keys.jobs, {"job": json.dumps({"job_id": f"raw-{number}", "source": source, "live": False})})


def people_are_told(settings: Settings) -> list[str]:
    """What the commands print that look at everything, and one that refuses a source."""
    told = []
    for arguments in (
        ("status",),
        ("status", "--json"),
        ("tail", "--events"),
        ("tail", "--events", "--json"),
        ("tail", "job-1", "--json"),
        ("dlq", "list"),
        ("dlq", "list", "--json"),
        ("doctor",),
        ("config", "show"),
        ("config", "show", "--json"),
        ("submit", f"http://u:{planted('/')}@x/clip.mp4"),
    ):
        shown = run_cli(settings, *arguments)
        told += [shown.stdout, shown.stderr]
    return told


def shows_nothing_outside(worker: Worker) -> None:
    """Neither the worker nor a process that it started, nor the core file of one."""
    parent = psutil.Process(worker.process.pid)
    children = parent.children(recursive=True)
    assert children
    for child in children:
        assert leaks(seen_from_outside(child)) == []
        assert core_bytes(child) == 0
    assert leaks(seen_from_outside(parent, "cmdline", "comm")) == []
    assert core_bytes(parent) == 0


@pytest.mark.long
def test_nothing_that_leaves_holds_a_password(
    server: RedisServer,
    settings: Settings,
    workers: list[Worker],
    web_server: WebServer,
    camera: RtspServer,
    clip: Path,
) -> None:
    (web_server.folder / "clip.mp4").write_bytes(clip.read_bytes())
    keys = Keys(settings.redis.prefix, settings.model.name, 0)
    # One writes JSON and has the password apart, the other writes for people and has it within the URL.
    url = server.url
    within = {"STREAMTAG_REDIS__URL": url, "STREAMTAG_REDIS__PASSWORD": "", "STREAMTAG_LOG__FORMAT": "console"}
    workers += [Worker(settings, *NULL, *PATIENT), Worker(settings, *NULL, *PATIENT, env=within)]
    told: list[str] = []
    with Client(settings=settings) as client:
        jobs = []
        for number, source in enumerate(sources(web_server, camera)):
            try:
                jobs.append(client.submit(source, job_id=f"job-{number}", live=False).job_id)
            except ConfigError as error:
                told.append(str(error))
                submit_raw(server, keys, number, source)
        lines = "\n".join(sources(web_server, camera)[:6]) + "\n"
        by_stdin = run_cli(settings, "submit", "-", "--finite", stdin=lines)
        told += [by_stdin.stdout, by_stdin.stderr]
        live = client.submit(camera.url("secret", f"admin:{quote(planted('!'), safe='')}@"), job_id="live").job_id
        eventually(lambda: client.status(live).counters.published > 2, "the camera is read with its password")
        for worker in workers:
            shows_nothing_outside(worker)
        client.cancel(live)
        for job in [*jobs, live]:
            assert client.wait(job, 240).status is not JobStatus.RUNNING
        with server.client() as raw:
            eventually(lambda: raw.xlen(keys.jobs) == 0, "the queue is empty", 240)
        assert client.status("job-1").status is JobStatus.DONE
        assert sum(view.status is JobStatus.FAILED for view in client.jobs()) > 20
    told += people_are_told(settings)
    assert leaks("\n".join(told)) == []
    assert leaks(workers[0].get("/metrics")[1] + workers[0].get("/readyz")[1]) == []
    for worker in workers:
        assert leaks("".join(worker.raw)) == []
        worker.kill()
    assert leaks(everything_in(server)) == []


def test_a_credential_by_name_is_nowhere_but_in_its_folder(
    server: RedisServer, settings: Settings, workers: list[Worker], camera: RtspServer, tmp_path: Path
) -> None:
    """Redis never has it, nor has anything that people see; not when it is refused, nor when it may not go there."""
    folder, word = tmp_path / "credentials", planted("!")
    folder.mkdir()
    (folder / "lobby").write_text(f"admin:{word}@127.0.0.1:{camera.port}")
    (folder / "old").write_text(f"admin:{planted('?')}@127.0.0.1")
    (folder / "broken").write_text(f"{planted('#')} 127.0.0.1")
    places = (f"source.credentials={folder}", "source.auth_retry_s=0.2", *PATIENT)
    worker = Worker(settings, *NULL, *places)
    workers.append(worker)
    with Client(settings=settings) as client:
        submitted = run_cli(settings, "submit", camera.url("secret"), "--id", "good", "--credential", "lobby")
        assert submitted.returncode == 0, submitted.stderr
        assert "credential" not in submitted.stderr, "there is none to warn about"
        client.submit(camera.url("secret"), job_id="refused", credential="old")
        client.submit(camera.url("secret"), job_id="broken", credential="broken")
        client.submit("rtsp://localhost:9/1", job_id="elsewhere", credential="lobby")
        eventually(lambda: client.status("good").counters.published > 2, "the camera is read")
        reasons = {"refused": "refuses credential 'old'", "broken": "not user:password@hosts"}
        eventually(lambda: all(says in client.status(job).reason for job, says in reasons.items()), "it is told why")
        assert {client.status(job).state for job in reasons} == {"auth_failed"}
        assert "may not go to this host" in client.wait("elsewhere", 30).reason
        shows_nothing_outside(worker)
        told = [run_cli(settings, "status").stdout]
        assert leaks(everything_in(server)) == []
        assert leaks("\n".join(told)) == []
        assert leaks(worker.get("/metrics")[1] + "".join(worker.raw)) == []
        for job in ("good", "refused", "broken"):
            client.cancel(job)


def test_a_crash_of_a_command_tells_no_password(settings: Settings) -> None:
    """An error that nobody foresaw, whose text quotes the source as errors of libraries do."""
    program = (
        "import sys; from streamtag.cli import app; from streamtag.queue.producer import Producer\n"
        "def broken(self, job):\n"
        "    address = job.source\n"
        "    raise RuntimeError(f'cannot open {address}: refused')\n"
        "Producer.submit = broken\n"
        "sys.exit(app.main())\n"
    )
    source = f"rtsp://admin:{quote(planted('/'), safe='')}@camera.lan/1"
    done = crashed(program, settings, "submit", source)
    assert done.returncode == 70
    assert "RuntimeError: cannot open rtsp://***@camera.lan/1" in done.stderr
    assert leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_in_the_log_tells_no_password(settings: Settings, format_: str) -> None:
    """Neither by its text nor by the values of variables, which pretty tracebacks print."""
    program = (
        "import sys; from streamtag import logs; from streamtag.settings import LogSettings\n"
        "logs.configure(LogSettings(format=sys.argv[2]))\n"
        "def broken(address):\n"
        "    password = address.split(':')[2]\n"
        "    raise RuntimeError(f'cannot open {address}: refused')\n"
        "try:\n"
        "    broken(sys.argv[1])\n"
        "except RuntimeError as error:\n"
        "    logs.log.error('job failed within the worker', exc_info=error)\n"
    )
    done = crashed(program, settings, f"rtsp://admin:{planted('/')}@camera.lan/1", format_)
    assert "RuntimeError: cannot open rtsp://***@camera.lan/1" in done.stderr
    assert leaks(done.stdout + done.stderr) == []


def crashed(program: str, settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_source_with_a_password_is_warned_about_once_and_gone_with_its_job(
    server: RedisServer, settings: Settings, workers: list[Worker], web_server: WebServer, clip: Path
) -> None:
    (web_server.folder / "clip.mp4").write_bytes(clip.read_bytes())
    host = web_server.url.removeprefix("http://")
    source = f"http://{USER}:{PASSWORD}@{host}/secret/clip.mp4"
    keys = Keys(settings.redis.prefix, settings.model.name, 0)
    told = run_cli(settings, "submit", source, source, "--json")
    assert told.stderr.count("may be a credential") == 1
    assert "submit - reads standard input" in told.stderr
    quiet = run_cli(settings, "submit", "-", "--id", "film", "--json", stdin=f"{source}\n\n")
    assert quiet.stderr.count("may be a credential") == 1
    assert "arguments" not in quiet.stderr
    with server.client() as raw:
        assert any(PASSWORD in entry["job"] for _, entry in raw.xrange(keys.jobs))
    worker = Worker(settings, *NULL, *PATIENT)
    workers.append(worker)
    with Client(settings=settings) as client:
        for view in client.jobs():
            assert client.wait(view.job_id, 60).status is JobStatus.DONE
    assert leaks(everything_in(server)) == []
    assert len([line for line in worker.log if "may hold a credential" in line["event"]]) == 3, "one a job"


def test_no_source_on_standard_input_is_an_error(settings: Settings) -> None:
    done = run_cli(settings, "submit", "-", stdin="\n")
    assert done.returncode == 2
    assert "standard input names no source" in done.stderr
