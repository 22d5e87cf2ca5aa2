"""The kernel kills in a container that is short of memory: a decoder, then a worker. Their job survives both."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus

from tests.support import eventually
from tests.support.containers import Containers
from tests.support.memory_hog import MemoryHog
from tests.support.outcomes import same
from tests.support.process_tree import decoders_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

LIMIT_BYTES = 2 << 30
FREE_BYTES = 256 << 20  # for a decoder and its pictures
SAMPLES = 1000
# A film that lasts long enough to be shot at, and a lease that ends soon.
SLOWLY = {
    "WORKER__COMMIT_S": "0.05",
    "WORKER__COMMIT_RESULTS": "4",
    "ENGINE__BUCKETS": "[1,2]",
    "SOURCE__SLOTS": "3",
    "LEASE__SECONDS": "6",
    "LEASE__STOP_AFTER_S": "4",
    "LEASE__RENEW_S": "0.5",
    "LEASE__RECLAIM_S": "0.3",
}


def test_a_decoder_and_then_a_worker_are_killed_and_nothing_is_lost_or_doubled(
    containers: Containers, image: str, own: list[str], client: Client, long_clip: Path
) -> None:
    def submit() -> str:
        return client.submit(f"/films/{long_clip.name}", every=1).job_id

    def passed(job: str, samples: int) -> None:
        eventually(lambda: client.status(job).counters.published > samples, f"{samples} samples of {job}")

    slowly = [f"--env=STREAMTAG_{name}={value}" for name, value in SLOWLY.items()]
    options = [*own, *slowly, f"--volume={long_clip.parent}:/films:ro", f"--memory={LIMIT_BYTES}"]
    with containers.running(image, options=options) as first:
        undisturbed = submit()
        assert client.wait(undisturbed, 300).status is JobStatus.DONE
        expected = list(client.results(undisturbed))
        assert len(expected) == SAMPLES
        (worker,) = psutil.Process(first.state["Pid"]).children()
        with MemoryHog(first) as hog:
            hog.leave(LIMIT_BYTES, FREE_BYTES)
            job = submit()
            passed(job, SAMPLES // 10)
            (decoder,) = decoders_of(worker.pid)
            hog.until_somebody_is_killed(LIMIT_BYTES)
            eventually(lambda: not decoder.is_running(), "it was the decoder")
        assert client.wait(job, 300).status is JobStatus.DONE
        same(list(client.results(job)), expected)
        assert worker.is_running()
        with MemoryHog(first) as hog, suppress(BrokenPipeError):  # the container ends beneath it
            hog.leave(LIMIT_BYTES, FREE_BYTES)
            job = submit()
            passed(job, SAMPLES // 10)
            while worker.is_running():
                hog.until_somebody_is_killed(LIMIT_BYTES)
        assert first.wait() == 137
    assert client.status(job).status is JobStatus.RUNNING
    with containers.running(image, options=options):
        assert client.wait(job, 300).status is JobStatus.DONE
    same(list(client.results(job)), expected)
