"""Changes by the page: none unless allowed, and then by nobody but who has the token, on this very page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.errors import ConfigError
from streamtag.settings import Settings
from streamtag.view.changes import WRONG_TOKENS
from streamtag.view.server import Page

from tests.contract.sides import Queue
from tests.support import RedisServer, eventually, settings_for
from tests.support.browser import chromium
from tests.support.page import ask, running

TOKEN = "correct-horse-battery"
JSON = "application/json"


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    return settings_for(redis_server, view__port=0, view__allow_changes=True, view__token=TOKEN)


@pytest.fixture
def page(settings: Settings) -> Iterator[Page]:
    with running(settings) as page:
        yield page


def post(
    page: Page, path: str, content: object, token: str = TOKEN, kind: str = JSON, **headers: str
) -> tuple[int, str]:
    body = content if isinstance(content, str) else json.dumps(content)
    answer = ask(page, path, "POST", body, Content_Type=kind, X_Streamtag_Token=token, **headers)
    return answer.status, answer.read().decode()


def test_jobs_are_submitted_cancelled_and_queued_again(page: Page, client: Client, settings: Settings) -> None:
    source = "rtsp://admin:hunter2@cam.lan/1"
    status, said = post(page, "/api/submit", {"source": source, "stream": "gate", "fps": 2})
    assert status == 200, said
    assert "hunter2" not in said
    with Client(settings=settings) as client:
        (job,) = client.jobs()
        assert (job.stream, job.status, job.source) == ("gate", JobStatus.QUEUED, "rtsp://***@cam.lan/1")
        assert post(page, "/api/cancel", {"id": job.job_id}) == (200, f'{{"said":"{job.job_id}: cancelled"}}')
        assert client.status(job.job_id).status is JobStatus.CANCELLED
        assert post(page, "/api/cancel", {"id": "nobody"})[0] == 404
        assert post(page, "/api/requeue", {"id": "nobody"})[0] == 404


def test_a_dead_letter_is_queued_again(redis_server: RedisServer) -> None:
    queue = Queue(redis_server.url)
    own = queue.settings.view.model_dump() | {"port": 0, "allow_changes": True, "token": TOKEN}
    settings = Settings(**(queue.settings.model_dump() | {"view": own}))
    queue.submit("failed")
    side = queue.worker("one")
    side.commits.dead_letter(side.take(), "no good")
    with running(settings) as page:
        assert post(page, "/api/requeue", {"id": "failed"}) == (200, '{"said":"failed: queued"}')
        assert post(page, "/api/requeue", {"id": "failed"})[0] == 404
    assert queue.producer.view("failed").status is JobStatus.QUEUED
    queue.connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"token": "wrong"}, 403),
        ({"token": ""}, 403),
        ({"token": TOKEN + "x"}, 403),
        ({"token": "é" * 20}, 403),
        ({"kind": "text/plain"}, 415),
        ({"kind": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_what_another_site_or_a_stranger_sends_changes_nothing(
    page: Page, settings: Settings, headers: dict[str, str], status: int
) -> None:
    assert post(page, "/api/submit", {"source": "rtsp://cam.lan/1"}, **headers)[0] == status
    with Client(settings=settings) as client:
        assert client.jobs() == []


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ("{", 400, ""),
        ("[]", 400, ""),
        ({"source": "a", "more": 1}, 400, "more"),
        ({"source": 7}, 400, "source"),
        ({"source": "film.mp4"}, 400, "whole path"),
        ({"source": "rtsp://cam.lan/1", "fps": -1}, 400, "fps"),
        ({"source": "x" * 20_000}, 413, "16384"),
    ],
)
def test_what_is_no_wish_is_refused_with_a_reason(page: Page, content: object, status: int, says: str) -> None:
    got, said = post(page, "/api/submit", content)
    assert got == status, said
    assert says in said


def test_guessing_is_slow(page: Page) -> None:
    codes = [post(page, "/api/cancel", {"id": "a"}, token=f"guess {number}")[0] for number in range(20)]
    assert codes.count(403) == WRONG_TOKENS
    assert codes[-1] == 429
    assert post(page, "/api/cancel", {"id": "a"})[0] == 404  # who has the token is not hurt


def test_nothing_changes_where_it_is_not_allowed(redis_server: RedisServer) -> None:
    settings = settings_for(redis_server, view__port=0, view__token=TOKEN)
    with running(settings) as page:
        for path in ("/api/submit", "/api/cancel", "/api/requeue"):
            status, said = post(page, path, {"source": "rtsp://cam.lan/1"})
            assert (status, "view.allow_changes" in said) == (403, True)
            assert ask(page, path).status == 405
    with Client(settings=settings) as client:
        assert client.jobs() == []


@pytest.mark.parametrize("token", ["", "short", "naïve naïve naïve"])
def test_changes_are_not_allowed_without_a_good_token(redis_server: RedisServer, token: str) -> None:
    with pytest.raises(ConfigError, match=r"view.token.*16") as caught:
        settings_for(redis_server, view__allow_changes=True, view__token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.long
def test_a_person_submits_and_cancels(page: Page, settings: Settings, tmp_path: Path) -> None:
    with chromium(tmp_path) as browser, Client(settings=settings) as client:
        browser.get(page.url)
        button = eventually(lambda: browser.find_elements(By.XPATH, "//nav/button[.='Submit']"), "the button")[0]
        button.click()
        fields = browser.find_elements(By.CSS_SELECTOR, "dialog input")
        fields[0].send_keys("rtsp://u:hunter2@cam.lan/1")
        fields[1].send_keys("gate")
        fields[-1].send_keys("wrong")
        browser.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()
        said = browser.find_element(By.CSS_SELECTOR, "dialog [role=status]")
        eventually(lambda: "not the token" in said.text, "it is refused")
        fields[-1].clear()
        fields[-1].send_keys(TOKEN)
        browser.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()
        eventually(lambda: "Done." in said.text, "it is done")
        (job,) = client.jobs()
        browser.get(f"{page.url}/stream/{job.job_id}")
        eventually(lambda: browser.find_elements(By.XPATH, "//button[.='Cancel']"), "the other button")[0].click()
        browser.find_element(By.CSS_SELECTOR, "dialog input[type=password]").send_keys(TOKEN)
        browser.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()
        eventually(lambda: client.status(job.job_id).status is JobStatus.CANCELLED, "it is cancelled")
        eventually(lambda: "cancelled" in browser.find_element(By.CSS_SELECTOR, ".badge").text, "the page says so")
