"""KEDA, the autoscaler of Kubernetes and a fleet of workers, simulated second by second from the rendered manifests.

The arithmetic is what their documentation says, and nothing of ours:

- HorizontalPodAutoscaler: ``desired = ceil(replicas * ratio)``, left alone while the ratio is within a tenth of 1; the
  greatest recommendation of the stabilization window counts when it scales down; policies bound a step
  (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/, "Algorithm details", "Configurable
  scaling behavior"). It looks every 15 s, the default of ``--horizontal-pod-autoscaler-sync-period``.
- KEDA: the target is an average value, so ``ratio = value / (target * replicas)``; it looks every ``pollingInterval``,
  takes the fleet from zero when there is anything, and back ``cooldownPeriod`` after it last saw something
  (https://keda.sh/docs/latest/concepts/scaling-deployments/ and .../reference/scaledobject-spec/). While a trigger
  fails it does neither, and after ``failureThreshold`` looks the metric says ``fallback.replicas``, or what there is
  where that is more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.1
SYNC_S = 15


@dataclass(frozen=True)
class Policy:
    """How far one direction may go in a period."""

    kind: str
    value: int
    period_s: int


@dataclass(frozen=True)
class Scaling:
    """What a ScaledObject asks for."""

    target: int  # jobs a replica
    least: int
    most: int
    polling_s: int
    cooldown_s: int
    failures: int
    fallback: int
    up: tuple[Policy, ...]
    down: tuple[Policy, ...]
    up_window_s: int
    down_window_s: int
    busy: float | None = None  # share of the time that a replica's device is to be busy, where that counts, too

    @classmethod
    def of(cls, scaled_object: dict[str, Any]) -> Scaling:
        """Read it as it lies in the manifest. What is missing there is an error here: a default would hide it."""
        spec = scaled_object["spec"]
        (jobs,) = [one for one in spec["triggers"] if one["type"].endswith("-streams")]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        assert behavior["scaleUp"]["selectPolicy"] == "Max"
        return cls(
            target=int(jobs["metadata"]["streamLength"]),
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            polling_s=spec["pollingInterval"],
            cooldown_s=spec["cooldownPeriod"],
            failures=spec["fallback"]["failureThreshold"],
            fallback=spec["fallback"]["replicas"],
            up=_policies(behavior["scaleUp"]),
            down=_policies(behavior["scaleDown"]),
            up_window_s=behavior["scaleUp"]["stabilizationWindowSeconds"],
            down_window_s=behavior["scaleDown"]["stabilizationWindowSeconds"],
            busy=next((float(one["metadata"]["threshold"]) for one in spec["triggers"] if one is not jobs), None),
        )


def _policies(rules: dict[str, Any]) -> tuple[Policy, ...]:
    return tuple(Policy(one["type"], one["value"], one["periodSeconds"]) for one in rules["policies"])


@dataclass
class Job:
    """One job: how long it waited, where it runs, and how much of it is left."""

    submitted_s: int
    left_s: float  # infinite for a camera
    worker: int | None = None
    waited_s: int = 0  # without a worker, in all


@dataclass
class Cluster:
    """Workers with so many slots, a queue, and what scales them.

    Args:
        start_s: from a new replica to its first job: image, weights, compiling.
        busy_each: share of its device's time that a job takes; workers share their jobs out, as live streams are.
    """

    scaling: Scaling
    slots: int
    start_s: int = 60
    busy_each: float = 0.0
    now_s: int = 0
    replicas: int = 0
    redis_answers: bool = True
    jobs: list[Job] = field(default_factory=list)
    workers: dict[int, int] = field(default_factory=dict)  # number to when it is ready
    history: list[int] = field(default_factory=list)  # replicas at each second
    _changes: deque[tuple[int, int]] = field(default_factory=deque)  # when, and by how many
    _wanted: deque[tuple[int, int]] = field(default_factory=deque)  # recommendations
    _seen: int | None = None  # what KEDA saw last; None: the trigger fails
    _failed: int = 0
    _active_s: int = -(10**9)
    _next_worker: int = 0

    def submit(self, count: int, runs_s: Callable[[], float]) -> list[Job]:
        made = [Job(self.now_s, runs_s()) for _ in range(count)]
        self.jobs += made
        return made

    def run(self, seconds: int, each: Callable[[Cluster], None] = lambda cluster: None) -> Cluster:
        for _ in range(seconds):
            each(self)
            if self.now_s % self.scaling.polling_s == 0:
                self._poll()
            if self.now_s % SYNC_S == 0 and self.replicas > 0:
                self._autoscale()
            self._work()
            self.history.append(self.replicas)
            self.now_s += 1
        return self

    @property
    def starving(self) -> int:
        """Jobs that wait while nothing more is on its way for them."""
        return sum(job.worker is None for job in self.jobs)

    def _poll(self) -> None:
        """KEDA's look: from zero, to zero, and the fallback."""
        if not self.redis_answers:
            self._failed += 1
            self._seen = None
            return
        self._failed, self._seen = 0, len(self.jobs)
        if self._seen > 0:
            self._active_s = self.now_s
            if self.replicas == 0:
                self._scale_to(max(1, self.scaling.least))
        elif self.scaling.least == 0 and self.now_s - self._active_s >= self.scaling.cooldown_s:
            self._scale_to(0)

    def _autoscale(self) -> None:
        """The HorizontalPodAutoscaler's turn: recommendation, stabilization, policies."""
        value = self._metric()
        if value is None:
            return
        wanted = self._recommended(value, self.scaling.target)
        if self.scaling.busy is not None:
            wanted = max(wanted, self._recommended(self._busy_devices(), self.scaling.busy))
        wanted = min(max(wanted, max(1, self.scaling.least)), self.scaling.most)
        self._wanted.append((self.now_s, wanted))
        while self._wanted[0][0] < self.now_s - max(self.scaling.down_window_s, self.scaling.up_window_s):
            self._wanted.popleft()
        least_of_window = min(count for at_s, count in self._wanted if at_s >= self.now_s - self.scaling.up_window_s)
        most_of_window = max(count for at_s, count in self._wanted if at_s >= self.now_s - self.scaling.down_window_s)
        stable = min(max(self.replicas, least_of_window), most_of_window)
        if stable > self.replicas:
            self._scale_to(min(stable, max(self._limit(policy) for policy in self.scaling.up)))
        elif stable < self.replicas:
            self._scale_to(max(stable, min(self._limit(policy, down=True) for policy in self.scaling.down)))

    def _recommended(self, value: float, target: float) -> int:
        ratio = value / (target * self.replicas)
        return self.replicas if abs(ratio - 1.0) <= TOLERANCE else math.ceil(value / target)

    def _busy_devices(self) -> float:
        """Devices' seconds a second: none can be busier than all the time."""
        ready = sum(ready_s <= self.now_s for ready_s in self.workers.values())
        return min(float(ready), self.busy_each * sum(job.worker is not None for job in self.jobs))

    def _metric(self) -> int | None:
        if self._seen is not None:
            return self._seen
        if self._failed < self.scaling.failures:
            return None  # no figure, no decision
        return self.scaling.target * max(self.scaling.fallback, self.replicas)

    def _limit(self, policy: Policy, down: bool = False) -> int:
        """Replicas that a policy allows now, by how many there were when its period began."""
        sign = -1 if down else 1
        made = sum(by for at_s, by in self._changes if at_s > self.now_s - policy.period_s and by * sign > 0)
        began = self.replicas - made
        if policy.kind == "Pods":
            return began + sign * policy.value
        share = 1 + sign * policy.value / 100
        return math.floor(began * share) if down else math.ceil(began * share)

    def _scale_to(self, count: int) -> None:
        if count == self.replicas:
            return
        self._changes.append((self.now_s, count - self.replicas))
        self.replicas = count
        while len(self.workers) < count:
            self.workers[self._next_worker] = self.now_s + self.start_s
            self._next_worker += 1
        while len(self.workers) > count:
            # Kubernetes ends a pod of its own choice. This one: the one with the most to hand over.
            loads = {worker: sum(job.worker == worker for job in self.jobs) for worker in self.workers}
            gone = max(loads, key=lambda worker: (loads[worker], worker))
            del self.workers[gone]
            for job in self.jobs:
                if job.worker == gone:
                    job.worker = None

    def _work(self) -> None:
        ready = [worker for worker, ready_s in self.workers.items() if ready_s <= self.now_s]
        loads = dict.fromkeys(ready, 0)
        for job in self.jobs:
            if job.worker in loads:
                loads[job.worker] += 1
        for job in self.jobs:
            if job.worker is None:
                emptiest = min(loads, key=lambda worker: loads[worker], default=None)
                if emptiest is None or loads[emptiest] >= self.slots:
                    job.waited_s += 1
                else:
                    job.worker = emptiest
                    loads[emptiest] += 1
            elif job.worker in loads:
                job.left_s -= 1
        self.jobs = [job for job in self.jobs if job.left_s > 0]
