"""What became of a job: whether it is over, and whether it gave what an undisturbed run gives."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from streamtag.client import Client
from streamtag.core.records import Result
from streamtag.errors import QueueUnavailable


def is_over(client: Client, job: str) -> bool:
    """False also while Redis gives no answer: it may be failing over."""
    try:
        return client.status(job).status.is_terminal
    except QueueUnavailable:
        time.sleep(0.2)
        return False


def same(found: Sequence[Result], expected: Sequence[Result]) -> None:
    """Fail unless ids, regions, active labels and scores are those of the undisturbed run."""
    assert [result.id for result in found] == [result.id for result in expected]
    assert [result.active for result in found] == [result.active for result in expected]
    assert [(one.region, one.reused) for one in found] == [(one.region, one.reused) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.labels[0].name == other.labels[0].name
        assert one.labels[0].score == pytest.approx(other.labels[0].score, abs=1e-3)
        assert one.labels[0].smoothed == pytest.approx(other.labels[0].smoothed, abs=1e-3)
