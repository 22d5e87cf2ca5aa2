"""A fleet too large for cameras: real claims threads on a real Redis, a third of which is killed at once."""

from __future__ import annotations

import pytest

from tests.bench.fleet import run_shard

JOBS, WORKERS, LEASE_S = 800, 40, 8.0


@pytest.mark.long
def test_what_a_third_of_the_workers_leaves_is_taken_within_the_lease_and_ten_seconds_and_without_a_storm() -> None:
    """And before: each job is claimed, and no worker has a multiple of what others have."""
    outcome = run_shard(JOBS, WORKERS, LEASE_S, limit_s=60, rest_s=3)
    assert sum(outcome.loads) == JOBS
    assert outcome.loads[0] > 0
    assert outcome.loads[-1] <= 2 * JOBS / WORKERS
    assert max(outcome.waited_s) < 20
    assert outcome.left >= JOBS // 6
    assert len(outcome.taken_again_s) >= outcome.left, "each of them has run elsewhere"
    assert max(outcome.taken_again_s) <= LEASE_S + 10
    # When every worker looked at all that was left, and all reached for the oldest, each job cost more than 60.
    assert outcome.after_kill.calls["xrange"] <= 25 * outcome.left
