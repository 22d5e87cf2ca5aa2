"""What a worker sees of the queue before it takes a job."""

from __future__ import annotations

from tests.contract.sides import Queue, lapse


def test_of_many_abandoned_entries_each_worker_sees_some_by_chance(queue: Queue) -> None:
    """When all reached for the oldest, one got it and the others had asked for nothing."""
    ids = [f"j{number}" for number in range(30)]
    for job_id in ids:
        queue.submit(job_id)
    queue.worker("gone").claims.fetch(30, None)
    lapse()
    looks = [queue.worker(f"w{number}").claims.abandoned(4) for number in range(6)]
    assert [len({entry.entry_id for entry in look}) for look in looks] == [4] * 6
    assert len({entry.entry_id for look in looks for entry in look}) > 8
    assert len(queue.worker("w0").claims.abandoned(40)) == 30


def test_what_is_read_next_can_be_looked_at_and_is_left_there(queue: Queue) -> None:
    one = queue.worker("one")
    assert one.claims.next_waiting() is None
    queue.submit("first")
    queue.submit("second")
    for name in ("first", "second"):
        entry = one.claims.next_waiting()
        assert entry is not None
        assert one.claims.parse(entry).job_id == name
        (read,) = one.claims.fetch(1, None)
        assert read == entry
    assert one.claims.next_waiting() is None
