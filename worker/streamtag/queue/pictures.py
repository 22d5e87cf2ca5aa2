"""Small pictures of a job: what its owner writes, and what anybody reads back, as if a stranger had written it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamtag.core.album import Picture, PictureKind
from streamtag.core.job import REGION_NAME
from streamtag.core.records import Claim
from streamtag.errors import LeaseLost, QueueRefused, QueueUnavailable
from streamtag.queue.connection import Connection, text
from streamtag.redaction import printable

MAX_JPEG_BYTES = 65_536
MAX_ALBUM = 1000
JPEG_BEGINS = b"\xff\xd8\xff"

PictureTrouble = LeaseLost | QueueRefused | QueueUnavailable


@dataclass(frozen=True, slots=True)
class PictureStep:
    """What of one job's pictures is on its way to Redis.

    Attributes:
        newest: None where there is no newer one.
        album: those that come, each of a kind.
        gone: ids of those that go.
    """

    claim: Claim
    newest: Picture | None
    album: Sequence[Picture]
    gone: Sequence[str]


class _StoredPicture(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, hide_input_in_errors=True, extra="ignore")

    at: Annotated[float, Field(ge=0, le=1e11)]
    pts_s: Annotated[float, Field(ge=-1e12, le=1e12)]
    region: Annotated[str, Field(pattern=f"{REGION_NAME}|^$")] = ""
    label: Annotated[str, Field(max_length=1000)] = ""
    kind: Annotated[str, Field(pattern="^(enter|regular|)$")] = ""
    jpeg: Annotated[bytes, Field(max_length=MAX_JPEG_BYTES)]

    def picture(self) -> Picture:
        if not is_jpeg(self.jpeg):
            raise ValueError("no JPEG file")
        kind = PictureKind(self.kind) if self.kind else None
        return Picture(self.at, self.pts_s, self.region, printable(self.label, 200), kind, self.jpeg)


def is_jpeg(content: bytes) -> bool:
    """Whether it begins as a JPEG file does, and is no larger than one of ours."""
    return content.startswith(JPEG_BEGINS) and len(content) <= MAX_JPEG_BYTES


class Pictures:
    """One thread's, over its connection.

    Args:
        most: pictures in a job's album.
    """

    def __init__(self, connection: Connection, consumer: str, most: int) -> None:
        self._connection = connection
        self._consumer = consumer
        self._most = most

    def write_each(self, steps: Sequence[PictureStep]) -> list[list[str] | PictureTrouble]:
        """Write the pictures of several jobs in one round trip; one that fails harms no other.

        Returns:
            For each the ids of the album's new entries, or what is in the way.
        """
        answers = self._connection.script_each("picture", [self._call(step) for step in steps])
        return [self._outcome(step, answer) for step, answer in zip(steps, answers, strict=True)]

    def album(self, job_id: str) -> list[tuple[str, Picture]]:
        """The pictures that are kept of a job beside the newest, with their ids, in the order in which they came.

        Raises:
            QueueRefused, QueueUnavailable: Redis does not tell.
        """
        return read_album(self._connection, job_id)

    def _call(self, step: PictureStep) -> tuple[list[str], list[Any]]:
        keys, job_id = self._connection.keys, step.claim.job.job_id
        newest = step.newest
        told = (_time(newest), repr(newest.pts_s), newest.region, newest.jpeg) if newest else ("", "", "", b"")
        head = [self._consumer, step.claim.fence, step.claim.entry_id, self._connection.settings.expire_s]
        arguments: list[Any] = [*head, *told, self._most, len(step.gone), *step.gone]
        for one in step.album:
            arguments += (str(one.kind), _time(one), repr(one.pts_s), one.region, one.label, one.jpeg)
        return [keys.job(job_id), keys.thumb(job_id), keys.pictures(job_id)], arguments

    @staticmethod
    def _outcome(step: PictureStep, answer: Any) -> list[str] | PictureTrouble:
        if isinstance(answer, QueueRefused | QueueUnavailable):
            return answer
        if answer[0] != b"OK":
            return LeaseLost(f"{step.claim.job.job_id}: another worker owns it by now")
        return [text(name) for name in answer[1:]]


def read_newest(connection: Connection, job_id: str) -> Picture | None:
    """The newest picture of a job; None where there is none.

    Raises:
        QueueRefused: what is stored is no picture of ours.
        QueueUnavailable: Redis gives no answer.
    """
    key = connection.keys.thumb(job_id)
    with connection.asking(f"HGETALL {key}"):
        fields = connection.client.hgetall(key)
    return _picture(fields, key) if fields else None


def read_album(connection: Connection, job_id: str, most: int = MAX_ALBUM) -> list[tuple[str, Picture]]:
    """The pictures that are kept of a job, the newest ``most``, in the order in which they came, with their ids.

    Raises:
        QueueRefused: what is stored is no picture of ours.
        QueueUnavailable: Redis gives no answer.
    """
    key = connection.keys.pictures(job_id)
    with connection.asking(f"XREVRANGE {key}"):
        rows = connection.client.xrevrange(key, "+", "-", most)
    return [(text(name), _picture(fields, f"{key} {text(name)}")) for name, fields in reversed(rows)]


def _picture(fields: Mapping[bytes, bytes], where: str) -> Picture:
    try:
        return _StoredPicture.model_validate({text(name): value for name, value in fields.items()}).picture()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        reason = " ".join([*map(str, fault["loc"]), fault["msg"]])
    except ValueError as error:
        reason = str(error)
    raise QueueRefused(
        f"{printable(where, 300)} is no picture that a worker writes: {printable(reason, 200)}"
    ) from None


def _time(picture: Picture) -> str:
    return f"{picture.at_unix_s:.3f}"
