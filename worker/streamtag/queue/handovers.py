"""How a live job changes hands while it runs: its next owner opens it first, and then takes it, without asking again.

Its owner offers it in its heartbeat, so that an offer ends when it is withdrawn, when it is carried out, and when the
owner is gone; everybody sees what is on its way where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamtag.core.records import Checkpoint, Claim, Offer
from streamtag.errors import RejectJob
from streamtag.queue.claims import Claims, Entry
from streamtag.queue.connection import Connection, stamp
from streamtag.queue.job_hash import CHECKPOINT_FIELDS, Unreadable, read_checkpoint
from streamtag.queue.keys import GROUP


class Handovers:
    """What a worker does with what is offered to it."""

    def __init__(self, connection: Connection, consumer: str, claims: Claims) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._consumer = consumer
        self._claims = claims

    def look(self, offer: Offer) -> Claim | None:
        """The job as it stands now, for opening it; it is not ours yet. None where it is gone.

        Raises:
            RejectJob: it cannot be read, or is another than was offered.
            QueueRefused: its keys are in the way.
        """
        with self._connection.asking(f"XRANGE {self._keys.jobs}", of_queue=True):
            found = self._connection.client.xrange(self._keys.jobs, offer.entry_id, offer.entry_id)
        if not found:
            return None
        job = self._claims.parse(Entry(offer.entry_id, found[0][1].get(b"job")))
        if job.job_id != offer.job_id:
            raise RejectJob("the queue entry that was offered is that of another job")
        name = self._keys.job(job.job_id)
        with self._connection.asking(f"HMGET {name}"):
            stored = self._connection.client.hmget(name, CHECKPOINT_FIELDS)
        # Its owner knows that it is live, also where only the source could tell.
        return Claim(replace(job, live=True), offer.entry_id, offer.fence, 0, _checkpoint(stored, offer))

    def take(self, offer: Offer, giver: str, claim: Claim) -> Claim | None:
        """Make the job ours, with the checkpoint as it is at this moment. None where its owner has not got it any more.

        May be asked again after a lost reply.

        Raises:
            RejectJob: what is stored of it cannot be read.
            QueueRefused: its keys are in the way.
        """
        keys = [self._keys.jobs, self._keys.job(offer.job_id)]
        arguments = [GROUP, self._consumer, offer.entry_id, giver, offer.fence, stamp()]
        answer = self._connection.script("take", keys, arguments)
        if answer[0] != b"OK":
            return None
        _, fence, crashes, deliveries, stored = answer
        checkpoint = _checkpoint(stored, offer)
        return Claim(claim.job, offer.entry_id, int(fence), int(crashes), checkpoint, int(deliveries))


def _checkpoint(stored: Sequence[bytes | None], offer: Offer) -> Checkpoint:
    try:
        return read_checkpoint(stored)
    except Unreadable as error:
        raise RejectJob(f"what is stored of job {offer.job_id} cannot be read: {error}") from None
