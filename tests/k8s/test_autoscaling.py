"""What KEDA and the autoscaler make of the rendered manifests, over traces: bursts, one job, nothing, cameras only."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import pytest

from tests.k8s.autoscaler import TOLERANCE, Cluster, Scaling
from tests.k8s.conftest import OVERLAYS, rendered

DIFFERENT = ("cpu", "gpu", "try")
CAMERA_S = math.inf
MINUTE_S, HOUR_S = 60, 3600


@cache
def declared(overlay: str) -> tuple[Scaling, int]:
    """What scales the workers of an overlay, and how many jobs each of them takes."""

    def of_kind(kind: str) -> dict[str, Any]:
        (found,) = [one for one in rendered(overlay) if one["kind"] == kind]
        return found

    return Scaling.of(of_kind("ScaledObject")), int(of_kind("ConfigMap")["data"]["STREAMTAG_WORKER__SLOTS"])


@pytest.fixture(params=DIFFERENT)
def overlay(request: pytest.FixtureRequest) -> str:
    """In place of all overlays: those that scale differently."""
    return str(request.param)


@pytest.fixture
def cluster(overlay: str) -> Cluster:
    scaling, slots = declared(overlay)
    return Cluster(scaling, slots)


def camera() -> float:
    return CAMERA_S


def film(chance: random.Random) -> float:
    """Seconds that a film keeps a slot: most are short, some are not."""
    return chance.lognormvariate(math.log(120), 1.0)


def test_one_job_wakes_a_worker_and_the_fleet_is_gone_after_it(cluster: Cluster) -> None:
    (job,) = cluster.run(20).submit(1, lambda: 90.0)
    cluster.run(10 * MINUTE_S + cluster.scaling.cooldown_s)
    assert job.waited_s <= cluster.scaling.polling_s + cluster.start_s
    assert max(cluster.history) == 1
    assert cluster.replicas == 0
    assert cluster.jobs == []


def test_nothing_to_do_costs_nothing(cluster: Cluster) -> None:
    assert set(cluster.run(HOUR_S).history) == {0}


def test_no_number_of_cameras_leaves_one_without_a_worker(overlay: str) -> None:
    """All at once, from no worker at all."""
    scaling, slots = declared(overlay)
    most = min(scaling.most * scaling.target, 4 * slots + 2)
    for count in range(1, most, max(1, most // 15)):
        cluster = Cluster(scaling, slots, start_s=5)
        cluster.submit(count, camera)
        cluster.run(8 * MINUTE_S)
        assert cluster.starving == 0, f"{count} cameras"
        assert len(cluster.jobs) == count


@pytest.mark.parametrize("added", [1, 2])
def test_cameras_that_come_one_by_one_all_run(overlay: str, added: int) -> None:
    """The autoscaler's tolerance shows only where a fleet has come to rest before."""
    scaling, slots = declared(overlay)
    cluster = Cluster(scaling, slots, start_s=5)
    while len(cluster.jobs) + added <= min(scaling.most * scaling.target, 3 * slots + 2):
        cluster.submit(added, camera)
        cluster.run(90)
        assert cluster.starving == 0, f"{len(cluster.jobs)} cameras"


def test_as_many_jobs_as_slots_a_replica_starve_the_seventeenth(overlay: str) -> None:
    """What a manifest with ``streamLength`` at ``worker.slots`` would do: so the tests above are seen to find it."""
    scaling, slots = declared(overlay)
    wrong = Cluster(replace(scaling, target=slots), slots, start_s=5)
    wrong.submit(slots, camera)
    wrong.run(5 * MINUTE_S).submit(1, camera)
    assert wrong.run(HOUR_S).starving == 1


def test_a_burst_of_films_is_met_at_once_and_ends(cluster: Cluster) -> None:
    chance = random.Random(1)
    burst = min(300, cluster.scaling.most * cluster.scaling.target)
    films = cluster.run(MINUTE_S).submit(burst, partial(film, chance))
    cluster.run(HOUR_S)
    assert cluster.jobs == []
    assert max(cluster.history) <= cluster.scaling.most
    if max(cluster.history) < cluster.scaling.most:
        # The first worker, and then twice as many or four more each half minute.
        assert max(job.waited_s for job in films) <= 5 * MINUTE_S
    cluster.run(2 * MINUTE_S * cluster.scaling.most + cluster.scaling.cooldown_s)
    assert cluster.replicas == 0


def test_bursts_again_and_again_do_not_make_the_fleet_flap(cluster: Cluster) -> None:
    """Between two of them the queue is empty for less than what KEDA waits before it ends all workers at once."""
    chance, period_s = random.Random(2), cluster.scaling.cooldown_s + MINUTE_S
    size = min(6 * cluster.scaling.target, cluster.scaling.most * cluster.scaling.target)

    def burst(cluster: Cluster) -> None:
        if cluster.now_s % period_s == 30:
            cluster.submit(size, lambda: chance.uniform(60, 180))

    cluster.run(2 * HOUR_S, burst)
    settled = cluster.history[HOUR_S:]
    assert len(set(settled)) <= 2, "replicas come and go"
    assert min(settled) > 0


def test_cameras_only_are_left_alone(cluster: Cluster) -> None:
    """No pod is ended once each has a worker: each end is a hand-over of all its streams."""
    count = min(40, cluster.scaling.most * cluster.scaling.target)
    cluster.submit(count, camera)
    cluster.run(30 * MINUTE_S)
    before = cluster.replicas
    assert set(cluster.run(2 * HOUR_S).history[30 * MINUTE_S :]) == {before}
    assert before * cluster.slots >= count


def test_cameras_that_ask_much_get_more_workers_where_busy_devices_count() -> None:
    """Twelve to a worker keep its device busy all the time: it could do no more, and would drop samples."""
    scaling, slots = declared("cpu+live-saturation")
    assert scaling.busy is not None
    count, busy_each = 36, 1.2 / scaling.target
    grown = Cluster(scaling, slots, busy_each=busy_each)
    grown.submit(count, camera)
    grown.run(30 * MINUTE_S)
    by_jobs = Cluster(replace(scaling, busy=None), slots, busy_each=busy_each)
    by_jobs.submit(count, camera)
    by_jobs.run(30 * MINUTE_S)
    assert busy_each * count / by_jobs.replicas > 1.0
    assert busy_each * count / grown.replicas <= scaling.busy * (1 + TOLERANCE)
    before = grown.replicas
    assert set(grown.run(HOUR_S).history[30 * MINUTE_S :]) == {before}, "and then leaves them alone"
    assert grown.starving == 0


def test_a_fleet_shrinks_slowly_and_nobody_waits_for_it(cluster: Cluster) -> None:
    """Cameras are taken away: one pod goes in two minutes, ten minutes after the last need of it."""
    count = min(80, cluster.scaling.most * cluster.scaling.target)
    cameras = cluster.submit(count, camera)
    cluster.run(30 * MINUTE_S)
    peak = cluster.replicas
    for job in cameras[count // 4 :]:
        job.left_s = 0
    cluster.run(9 * MINUTE_S)
    assert cluster.replicas == peak
    begins = len(cluster.history)
    cluster.run(2 * HOUR_S)
    shrinking = cluster.history[begins - 1 :]
    steps = [at for at in range(1, len(shrinking)) if shrinking[at] < shrinking[at - 1]]
    assert all(shrinking[at - 1] - shrinking[at] == 1 for at in steps)
    assert all(later - earlier >= 120 for earlier, later in pairwise(steps))
    assert cluster.starving == 0
    assert cluster.replicas == max(1, -(-(count // 4) // cluster.scaling.target))


def test_a_redis_that_does_not_answer_ends_no_worker(cluster: Cluster) -> None:
    """Nor does it begin any: the fallback is what there is."""
    cluster.submit(min(40, cluster.scaling.most * cluster.scaling.target), camera)
    cluster.run(20 * MINUTE_S)
    before = cluster.replicas
    cluster.redis_answers = False
    away = cluster.run(HOUR_S).history[20 * MINUTE_S :]
    assert set(away) == {before}
    cluster.redis_answers = True
    cluster.run(20 * MINUTE_S)
    assert cluster.replicas == before


def test_more_than_the_fleet_may_be_waits_and_ends(overlay: str) -> None:
    scaling, slots = declared(overlay)
    cluster = Cluster(replace(scaling, most=3), slots)
    films = cluster.submit(3 * slots + 50, lambda: 60.0)
    cluster.run(HOUR_S // 2)
    assert max(cluster.history) == 3
    assert cluster.jobs == []
    assert max(job.waited_s for job in films) > 60


def test_these_are_all_ways_in_which_overlays_scale() -> None:
    """All that is simulated is read from the manifests: another figure in one of them is another simulation."""
    assert {declared(overlay) for overlay in OVERLAYS} == {declared(overlay) for overlay in DIFFERENT}
    assert len({declared(overlay) for overlay in DIFFERENT}) == len(DIFFERENT)
