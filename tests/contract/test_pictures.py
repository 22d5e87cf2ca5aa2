"""Small pictures of a job in Redis: written by its owner alone, bounded, gone with the results; hostile when read."""

from __future__ import annotations

import pytest
from streamtag.client import Client
from streamtag.core.album import Picture, PictureKind
from streamtag.core.records import Claim, JobStatus
from streamtag.errors import LeaseLost, QueueRefused
from streamtag.queue.orphans import OrphanKind, Orphans
from streamtag.queue.pictures import MAX_JPEG_BYTES, Pictures, PictureStep, read_album, read_newest

from tests.contract.sides import LIVE, Queue, lapse, step

JPEG = b"\xff\xd8\xff\xe0 a picture"
NEWEST = Picture(1_700_000_000.25, 12.5, "door", jpeg=JPEG)
SEEN = Picture(1_700_000_001.0, 13.0, "", "dog", PictureKind.ENTER, JPEG + b"!")
REGULAR = Picture(1_700_000_002.0, 14.0, kind=PictureKind.REGULAR, jpeg=JPEG + b"?")


def pictures_of(queue: Queue, consumer: str = "one", most: int = 8) -> Pictures:
    return Pictures(queue.connection, consumer, most)


def write(queue: Queue, claim: Claim, *album: Picture, consumer: str = "one", gone: tuple[str, ...] = ()) -> list[str]:
    (answer,) = pictures_of(queue, consumer).write_each([PictureStep(claim, NEWEST, album, gone)])
    assert isinstance(answer, list), answer
    return answer


def lifetimes_s(queue: Queue) -> list[int]:
    client, keys = queue.connection.client, queue.keys
    return [client.ttl(key) for key in (keys.results("j"), keys.thumb("j"), keys.pictures("j"))]


def test_what_is_written_is_read_back_and_the_hash_says_that_it_is_there(queue: Queue) -> None:
    queue.submit()
    claim = queue.worker("one").take()
    assert read_newest(queue.connection, "j") is None
    assert queue.producer.view("j").thumb_unix_s == 0
    names = write(queue, claim, SEEN, REGULAR)
    assert read_newest(queue.connection, "j") == NEWEST
    assert read_album(queue.connection, "j") == list(zip(names, (SEEN, REGULAR), strict=True))
    assert queue.producer.view("j").thumb_unix_s == NEWEST.at_unix_s
    write(queue, claim, gone=tuple(names[:1]))
    with Client(settings=queue.settings) as client:
        assert client.pictures("j") == [REGULAR]
        assert client.thumbnail("j") == NEWEST


def test_an_album_has_its_bound_whatever_its_owner_thinks(queue: Queue) -> None:
    queue.submit()
    claim = queue.worker("one").take()
    for _ in range(5):
        write(queue, claim, SEEN, SEEN, SEEN)
    assert len(read_album(queue.connection, "j")) == 8


def test_what_goes_makes_room_for_what_comes_and_the_rest_stays(queue: Queue) -> None:
    """The first pictures of a film went for its next ones, which were added before others were taken away."""
    queue.submit()
    claim = queue.worker("one").take()
    names = write(queue, claim, *[REGULAR] * 8)
    new = write(queue, claim, *[SEEN] * 4, gone=tuple(names[1::2]))
    assert [name for name, _ in read_album(queue.connection, "j")] == [*names[::2], *new]


def test_pictures_go_when_the_results_do(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    write(queue, claim, SEEN)
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    write(queue, claim, REGULAR)  # what was on its way when the job ended
    of_results, *of_pictures = lifetimes_s(queue)
    assert all(of_results - 5 <= left <= of_results + 5 for left in of_pictures)
    assert [picture for _, picture in read_album(queue.connection, "j")] == [SEEN, REGULAR]


@pytest.mark.parametrize("how", ["taken over", "released", "cancelled and gone", "another job of this id"])
def test_who_has_lost_the_job_writes_nothing(queue: Queue, how: str) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    write(queue, claim, SEEN)
    if how == "taken over":
        lapse()
        queue.worker("two").take_abandoned_now()
    elif how == "released":
        one.commits.release(claim)
    else:
        queue.producer.cancel("j")
        queue.connection.client.delete(queue.keys.job("j"))
        if how == "another job of this id":
            queue.connection.client.delete(queue.keys.jobs)
            queue.submit()
            queue.worker("two").take()
    before = queue.dump()
    (answer,) = pictures_of(queue).write_each([PictureStep(claim, NEWEST, [REGULAR], [])])
    assert isinstance(answer, LeaseLost)
    assert queue.dump() == before


def test_the_next_job_of_an_id_begins_without_the_pictures_of_the_last(queue: Queue) -> None:
    queue.submit()
    claim = queue.worker("one").take()
    write(queue, claim, SEEN)
    queue.connection.client.delete(queue.keys.job("j"), queue.keys.jobs)
    queue.submit()
    write(queue, queue.worker("one").take(), REGULAR)
    assert [picture for _, picture in read_album(queue.connection, "j")] == [REGULAR]


@pytest.mark.parametrize(
    ("which", "kind"), [("thumb", "string"), ("thumb", "stream"), ("pictures", "string"), ("pictures", "list")]
)
def test_a_key_of_another_kind_stops_its_pictures_alone(queue: Queue, which: str, kind: str) -> None:
    for name in ("j", "other"):
        queue.submit(name)
    one = queue.worker("one")
    claims = [one.take(), one.take()]
    queue.occupy(getattr(queue.keys, which)("j"), kind)
    answers = pictures_of(queue).write_each([PictureStep(claim, NEWEST, [SEEN], []) for claim in claims])
    assert isinstance(answers[0], QueueRefused)
    assert isinstance(answers[1], list)
    assert queue.producer.view("j").thumb_unix_s == 0, "nothing was written"
    one.commits.commit(claims[0], step(0, "5-1"), LIVE, None)
    assert len(queue.producer.results("j")) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"jpeg": "<svg onload=alert(1)>"},
        {"jpeg": JPEG + b"\0" * MAX_JPEG_BYTES},
        {"jpeg": ""},
        {"at": "nan"},
        {"at": "-1"},
        {"pts_s": "1e300"},
        {"region": "<script>"},
        {"kind": "other"},
        {"label": "x" * 2000},
    ],
)
def test_what_no_worker_writes_is_no_picture(queue: Queue, fields: dict[str, str | bytes]) -> None:
    good: dict[str, str | bytes] = {"jpeg": JPEG, "at": "1.5", "pts_s": "2.5", "region": "", "kind": "enter"}
    client, keys = queue.connection.client, queue.keys
    client.hset(keys.thumb("good"), mapping=good)
    assert read_newest(queue.connection, "good") is not None
    client.hset(keys.thumb("j"), mapping=good | fields)
    client.xadd(keys.pictures("j"), good | fields)
    with pytest.raises(QueueRefused, match="no picture that a worker writes"):
        read_newest(queue.connection, "j")
    with pytest.raises(QueueRefused, match="no picture that a worker writes"):
        read_album(queue.connection, "j")


def test_a_label_is_shown_without_what_a_terminal_obeys(queue: Queue) -> None:
    queue.submit()
    claim = queue.worker("one").take()
    write(queue, claim, Picture(1.0, 1.0, "", "do\x1b[31mg", PictureKind.ENTER, JPEG))
    ((_, picture),) = read_album(queue.connection, "j")
    assert "\x1b" not in picture.label


def test_pictures_of_a_job_that_is_gone_are_found_and_removed(queue: Queue) -> None:
    queue.submit()
    queue.submit("kept")
    one = queue.worker("one")
    claim, other = one.take(), one.take()
    write(queue, claim, SEEN)
    write(queue, other, SEEN)
    queue.connection.client.delete(queue.keys.job("j"))
    orphans = Orphans(queue.connection)
    found = [orphan for orphan in orphans.find() if orphan.name == "j"]
    assert {orphan.kind for orphan in found} >= {OrphanKind.THUMB, OrphanKind.PICTURES}
    for orphan in found:
        orphans.remove(orphan)
    assert read_newest(queue.connection, "j") is None
    assert read_album(queue.connection, "j") == []
    assert read_newest(queue.connection, "kept") == NEWEST
