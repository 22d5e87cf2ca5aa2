"""``streamtag gc`` beside a worker that runs: what no job owns goes, and what a job owns does not."""

from __future__ import annotations

from pathlib import Path

from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.queue.keys import Keys
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, eventually, json_lines, run_cli, start_worker


def test_it_lists_and_then_removes_and_harms_no_running_job(
    settings: Settings, redis_server: RedisServer, workers: list[Worker], long_clip: Path
) -> None:
    keys = Keys(settings.redis.prefix, settings.model.name, 0)
    start_worker(workers, settings, *NULL, "engine.buckets=[1]")
    with Client(settings=settings) as client, redis_server.client() as raw:
        client.submit(str(long_clip), job_id="running", every=1)
        eventually(lambda: client.status("running").counters.published > 20, "it runs")
        raw.xadd(keys.results("gone"), {"result": "x" * 5000})
        raw.xgroup_createconsumer(keys.jobs, "workers", "long-gone")
        raw.hset(keys.job("lost"), mapping={"status": "queued", "entry": "1-1", "shown": '{"source": "a.mp4"}'})
        listed = run_cli(settings, "gc")
        assert listed.returncode == 0, listed.stderr
        assert "3 found" in listed.stdout
        assert "streamtag gc --yes" in listed.stdout
        lines = {line["kind"]: line for line in json_lines(run_cli(settings, "gc", "--yes", "--json").stdout)}
        assert {kind: (line["name"], line["removed"]) for kind, line in lines.items()} == {
            "results": ("gone", True),
            "job": ("lost", True),
            "consumer": ("long-gone", True),
        }
        assert lines["results"]["bytes"] > 5000
        assert not raw.exists(keys.results("gone"))
        assert client.status("lost").status is JobStatus.FAILED
        assert "nothing that no job owns" in run_cli(settings, "gc").stdout
        view = client.wait("running", 120)
        assert (view.status, view.counters.published, view.deliveries) == (JobStatus.DONE, 1000, 1)
        assert [result.index for result in client.results("running")] == list(range(1000))
