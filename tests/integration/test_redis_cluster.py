"""A Redis cluster: each queue on a master of its own, followed through redirects and failovers."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.crc import key_slot
from streamtag.client import Client
from streamtag.configuration import load
from streamtag.core.records import JobStatus, Offer, StreamState
from streamtag.errors import QueueUnavailable
from streamtag.queue.commits import Commits, Step
from streamtag.queue.handovers import Handovers
from streamtag.queue.keys import GROUP
from streamtag.queue.orphans import Orphans
from streamtag.settings import Settings

from tests.contract.sides import Queue, step
from tests.support import RedisServer, Worker, eventually, redis_binaries, run_cli, start_worker
from tests.support.outcomes import is_over, same
from tests.support.redis_cluster import RedisCluster
from tests.support.worker_process import SLOW

QUICK_LEASE = ("lease.seconds=6", "lease.stop_after_s=4", "lease.renew_s=0.3", "lease.reclaim_s=0.2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(redis_binaries()[0], tmp_path_factory.mktemp("cluster")) as found:
        yield found


def queue_on(cluster: RedisCluster, shard: int = 0, seed: RedisServer | None = None) -> Queue:
    return Queue((seed or cluster.nodes[0]).url, **{"redis.cluster": True, "redis.shard": shard})


def shards_apart(cluster: RedisCluster) -> tuple[int, int]:
    """Two shards of model m whose queues lie on different masters."""
    first = cluster.owner("{m.0}")
    other = next(shard for shard in range(1, 50) if cluster.owner(f"{{m.{shard}}}") is not first)
    return 0, other


def test_what_no_job_owns_is_found_on_the_queue_s_own_master(cluster: RedisCluster) -> None:
    for shard in shards_apart(cluster):
        queue = queue_on(cluster, shard)
        queue.worker("gone")
        queue.connection.client.xgroup_createconsumer(queue.keys.jobs, GROUP, "gone")
        queue.submit("kept")
        queue.connection.client.xadd(queue.keys.results("gone"), {"result": "x"})
        orphans = Orphans(queue.connection)
        assert [orphan.name for orphan in orphans.find() if orphans.remove(orphan)] == ["gone", "gone"]
        assert list(orphans.find()) == []
        assert queue.producer.memory().used_bytes > 0
        assert {held.kind for held in queue.producer.holdings() if held.keys} == {"jobs"}
        assert queue.producer.view("kept").status is JobStatus.QUEUED
        assert {address.rpartition(":")[2] for address in queue.connection.servers()} == {
            str(node.port) for node in cluster.nodes
        }, "no job may read from one of them"
        queue.connection.close()


def test_shards_lie_on_masters_of_their_own_and_each_works(cluster: RedisCluster) -> None:
    found = []
    for shard in shards_apart(cluster):
        queue = queue_on(cluster, shard)
        owner = cluster.owner(queue.keys.jobs)
        queue.submit("j")
        one = queue.worker("one")
        claim = one.take()
        assert one.leases.renew([claim]) == ["OK"]
        two = queue.worker("two")
        queue.connection.client.xgroup_createconsumer(queue.keys.jobs, GROUP, "two")
        assert one.heartbeats.others() == []
        offer = Offer("j", claim.entry_id, claim.fence, "two", 1.0)
        taken = Handovers(queue.connection, "two", two.claims).take(offer, "one", claim)
        assert taken is not None
        two.commits.finish(taken, JobStatus.DONE, "", StreamState.ENDED, 1.5)
        assert [view.job_id for view in queue.producer.views()] == ["j"]
        assert queue.producer.view("j").status is JobStatus.DONE
        with owner.client() as client:
            assert client.exists(queue.keys.job("j"))
        found.append(owner.port)
        queue.connection.close()
    assert len(set(found)) == 2


def test_any_node_leads_to_the_queue_also_a_replica(cluster: RedisCluster) -> None:
    prefix = None
    for number, node in enumerate(cluster.nodes):
        queue = queue_on(cluster, seed=node)
        prefix = prefix or queue.settings.redis.prefix
        assert queue.submit(f"j{number}") == "queued"
        queue.connection.close()


def test_a_node_that_is_away_at_the_start_is_passed_over(cluster: RedisCluster) -> None:
    values = {"redis.cluster": True, "redis.cluster_nodes": cluster.addresses[2:4]}
    queue = Queue("redis://127.0.0.1:9", **values)
    assert queue.submit() == "queued"
    queue.connection.close()


def test_without_the_setting_the_error_names_it(cluster: RedisCluster) -> None:
    queue = Queue(cluster.nodes[0].url)
    elsewhere = next(node for node in cluster.masters() if node is not cluster.owner(queue.keys.jobs))
    with pytest.raises(QueueUnavailable, match=r"redis\.cluster: true"):
        Queue(elsewhere.url, **{"redis.prefix": queue.settings.redis.prefix}).submit()


def test_a_server_that_is_no_cluster_is_named(redis_server: RedisServer) -> None:
    with pytest.raises(QueueUnavailable, match=r"redis\.cluster: false"):
        Queue(redis_server.url, **{"redis.cluster": True}).submit()


def test_a_slot_that_moves_is_followed(cluster: RedisCluster) -> None:
    """While it moves (ASK), and once it has moved (MOVED), over one and the same connection."""
    queue = queue_on(cluster, shard=7)
    queue.submit("before")
    stale = Queue(
        queue.settings.redis.url.get_secret_value(),
        **{"redis.cluster": True, "redis.shard": 7, "redis.prefix": queue.settings.redis.prefix},
    )
    stale.connection.ping()
    assert stale.producer.view("before").status is JobStatus.QUEUED
    source = cluster.owner(queue.keys.jobs)
    target = next(node for node in cluster.masters() if node is not source)
    slot = key_slot(queue.keys.jobs.encode())
    with source.client() as old, target.client() as new:
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.name(source))
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.name(target))
        # What was never here is asked for at the new owner.
        assert queue.producer.results("never-there") == []
        names = old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
        assert queue.producer.view("before").status is JobStatus.QUEUED
        for node in (new, old):
            node.execute_command("CLUSTER SETSLOT", slot, "NODE", cluster.name(target))
    assert [view.job_id for view in queue.producer.views()] == ["before"]
    one = queue.worker("one")
    claim = one.take()
    assert claim.job.job_id == "before"
    assert queue.submit("after") == "queued"
    assert cluster.owner(queue.keys.jobs, asked=target) is target
    # Commits that are sent together, over a connection that has not heard of it, are each redirected.
    claims = [claim, one.take()]
    commits = Commits(stale.connection, "one", 30.0)
    assert commits.commit_each([Step(held, step(0, "5-1"), StreamState.LIVE, None) for held in claims]) == [None, None]
    assert [len(queue.producer.results(name)) for name in ("before", "after")] == [1, 1]
    stale.connection.close()
    queue.connection.close()


@pytest.fixture
def cluster_settings(cluster: RedisCluster) -> Settings:
    values = {
        "redis.url": cluster.nodes[0].url,
        "redis.cluster": True,
        "redis.cluster_nodes": cluster.addresses[1:],
        "redis.prefix": f"t{uuid.uuid4().hex[:12]}",
        "http.port": 0,
        "model.name": "demo",
    }
    return load(None, values)[0]


@pytest.mark.long
def test_a_master_killed_in_the_middle_costs_nothing_that_its_replica_had(
    cluster: RedisCluster, cluster_settings: Settings, workers: list[Worker], long_clip: Path
) -> None:
    with Client(settings=cluster_settings) as client:
        worker = start_worker(workers, cluster_settings, *SLOW, *QUICK_LEASE)
        calm = client.submit(str(long_clip), every=1).job_id
        assert client.wait(calm, 120).status is JobStatus.DONE
        expected = list(client.results(calm))
        job, other = (client.submit(str(long_clip), every=1).job_id for _ in range(2))
        eventually(lambda: client.status(job).counters.published > 100, "some of it is published")
        owner = cluster.owner("{demo.0}")
        owner.signal(signal.SIGKILL)
        eventually(partial(is_over, client, job), "the job is over, on the replica that was promoted", 120)
        view = client.status(job)
        assert view.status is JobStatus.DONE
        same(list(client.results(job)), expected)
        assert view.counters.sampled == view.counters.handled
        assert client.wait(other, 120).status is JobStatus.DONE
        same(list(client.results(other)), expected)
        assert worker.process.poll() is None
        assert worker.said("redis is there again", thread="claims")
        # What was new is not known to the promoted server's scripts either: nothing of them was lost.
        assert run_cli(cluster_settings, "submit", str(long_clip), "--id", "after").returncode == 0
        assert client.cancel("after") in ("cancelled", "cancelling")
        owner.kill()
        owner.start()
