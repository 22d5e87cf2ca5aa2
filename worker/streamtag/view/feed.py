"""What browsers are told of the fleet: all of it once, then what has changed. Pure: it is given what was looked at.

A stream has a number here, by which changes name it: shorter than its id, and an address may carry many of them. It is
good for as long as this server lives; whoever comes back to another one is told everything anew.
"""

from __future__ import annotations

from typing import Any, Final

from streamtag.core.lately import RateLately
from streamtag.core.records import JobStatus, WorkerView
from streamtag.queue.fleet import FleetNow, StreamNow

RATE_WINDOW_S: Final = 5.0
MAX_REASON: Final = 300  # on the wall; a stream's own page has all of it

Tile = dict[str, Any]


class Feed:
    """Turns looks at the fleet into messages."""

    def __init__(self) -> None:
        self._tiles: dict[int, Tile] = {}
        self._fleet: dict[str, Any] = {}
        self._numbers: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._next_number = 1
        self._rates: dict[int, RateLately] = {}
        self._at_unix_s = 0.0

    def see(self, fleet: FleetNow) -> dict[str, Any]:
        """Take a look in; what is new by it."""
        self._at_unix_s = round(fleet.at_unix_s, 2)
        streams = {self._number(job_id): stream for job_id, stream in fleet.streams.items()}
        gone = [number for number in self._tiles if number not in streams]
        for number in gone:
            self._forget(number)
        changed = []
        for number, stream in streams.items():
            rate = self._rates.setdefault(number, RateLately(RATE_WINDOW_S)).see(
                stream.view.counters.published, fleet.at_unix_s
            )
            tile = _tile(number, stream, rate)
            before = self._tiles.get(number, {})
            if tile != before:
                changed.append(_changes(number, before, tile))
                self._tiles[number] = tile
        strip = _fleet(fleet)
        message: dict[str, Any] = {"now": self._at_unix_s, "jobs": changed, "gone": gone}
        if strip != self._fleet:
            self._fleet = message["fleet"] = strip
        return message

    def whole(self) -> dict[str, Any]:
        """Everything, for who has seen nothing yet."""
        return {"now": self._at_unix_s, "jobs": list(self._tiles.values()), "fleet": self._fleet}

    def job_id(self, number: int) -> str | None:
        """Whose number it is."""
        return self._ids.get(number)

    def _number(self, job_id: str) -> int:
        number = self._numbers.get(job_id)
        if number is None:
            number = self._numbers[job_id] = self._next_number
            self._ids[number] = job_id
            self._next_number += 1
        return number

    def _forget(self, number: int) -> None:
        del self._tiles[number]
        del self._numbers[self._ids.pop(number)]
        self._rates.pop(number, None)


def _changes(number: int, before: Tile, tile: Tile) -> Tile:
    if not before:
        return tile
    return {"n": number} | {name: value for name, value in tile.items() if before[name] != value}


def _tile(number: int, stream: StreamNow, rate: float) -> Tile:
    view = stream.view
    running = view.status is JobStatus.RUNNING
    return {
        "n": number,
        "id": view.job_id,
        "stream": view.stream or view.job_id,
        "source": view.source,
        "status": str(view.status),
        "state": view.state,
        "reason": view.reason[:MAX_REASON],
        "worker": view.worker if running else "",
        "rate": round(rate, 1) if running else 0.0,
        "lag": None if view.lag_s is None else round(view.lag_s, 1),
        "at": round(view.last_sample_unix_s, 1),
        "labels": [[label.name, round(label.score, 2), int(label.active)] for label in stream.labels[:8]],
        "samples": view.counters.published,
        "drops": sum(view.counters.dropped.values()),
        "fails": sum(view.counters.failed.values()),
        "done": None if view.progress is None else round(view.progress, 2),
        "live": view.lag_s is not None,
        "submitted": view.submitted_unix_s,
        "thumb": stream.thumb,
    }


def _fleet(fleet: FleetNow) -> dict[str, Any]:
    queued = fleet.queued
    return {
        "workers": [_worker(worker) for worker in fleet.workers],
        "queued": len(queued),
        "oldest": queued[0].submitted_unix_s if queued else None,
        "dropped": sum(sum(stream.view.counters.dropped.values()) for stream in fleet.streams.values()),
        "memory": None if fleet.memory.share is None else round(fleet.memory.share, 2),
        "left_out": fleet.left_out,
    }


def _worker(worker: WorkerView) -> dict[str, Any]:
    return {
        "name": worker.worker,
        "host": worker.host,
        "jobs": worker.running,
        "slots": worker.slots,
        "room": worker.room,
        "asked": round(worker.asked, 1),
        "supply": round(worker.supply, 1),
        "rate": round(worker.samples_per_s, 1),
        "busy": round(worker.busy, 2),
        "lag": round(worker.lag_s, 1),
        "drops": round(worker.drop_share, 2),
        "draining": worker.draining,
        "engine": worker.engine,
    }
