"""Platforms that misbehave: what is waited out, with whose hint, and what is told to the person who can mend it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from platforms import Answer, in_turn, platform

from connectors.errors import Reject, Retry
from connectors.pulls.http import Gone, Refused, fetch_json, hint

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=0.4) as client:
        yield client


def ask(http: httpx.Client, answer: Answer) -> bytes:
    with platform(in_turn(answer)) as server:
        return fetch_json(http, "GET", server.url, mend="`api_key`", now=NOW)


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (Answer({}, 429, {"retry-after": "7"}), 7),
        (Answer({}, 429, {"retry-after": "Mon, 05 Jan 2026 09:01:30 GMT"}), 90),
        (Answer({}, 503, {"retry-after": "Mon, 05 Jan 2026 08:00:00 GMT"}), 0),
        (Answer({}, 429, {"retry-after": "999999999"}), 86_400),
        (Answer({}, 429, {"retry-after": "soon"}), None),
        (Answer({}, 429, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 12)}), 12),
        (Answer({}, 429, {"ratelimit-reset": "5"}), 5),
        (
            Answer({"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31.5s"}]}}, 429),
            31.5,
        ),
        (Answer({"error": "TooManyRequests", "details": {"retryAfterSeconds": 44}}, 429), 44),
        (Answer({}, 500), None),
        (Answer({}, 503), None),
        (Answer({}, 408), None),
    ],
)
def test_overload_is_waited_out_with_the_platforms_own_hint(http: httpx.Client, answer: Answer, after: float | None) -> None:
    with pytest.raises(Retry) as told:
        ask(http, answer)

    assert told.value.after == (None if after is None else timedelta(seconds=after))


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"a": "b" * 1000}, missing=500),
        Answer({}, late=0.8),
        Answer(b"<html>we will be right back</html>", headers={"content-type": "text/html"}),
        Answer(b'{"cut": "of'),
        Answer(b"garbage", headers={"content-encoding": "gzip"}),
        Answer(b""),
    ],
    ids=["cut off", "slow", "a page", "half JSON", "not gzip", "empty"],
)
def test_what_breaks_off_or_is_no_json_is_tried_again(http: httpx.Client, answer: Answer) -> None:
    with pytest.raises(Retry):
        ask(http, answer)


def test_a_server_that_is_not_there_is_tried_again(http: httpx.Client) -> None:
    with pytest.raises(Retry, match=r"127\.0\.0\.1 cannot be reached"):
        fetch_json(http, "GET", "http://127.0.0.1:9", mend="", now=NOW)


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, Reject, "check `api_key`"),
        (403, Reject, "check `api_key`"),
        (404, Gone, "check `url`"),
        (400, Refused, "does not understand"),
        (302, Reject, "redirect"),
        (418, Reject, "418"),
    ],
)
def test_what_cannot_work_names_the_option_to_mend(http: httpx.Client, status: int, kind: type[Reject], says: str) -> None:
    with pytest.raises(kind, match=says):
        ask(http, Answer({"message": "the words of a person"}, status, {"location": "http://127.0.0.1:9/"}))


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/", "http://[::1"])
def test_an_address_that_is_none_is_told(http: httpx.Client, url: str) -> None:
    with pytest.raises(Reject, match="`url`"):
        fetch_json(http, "GET", url, mend="", now=NOW)


def test_json_under_a_wrong_content_type_is_taken(http: httpx.Client) -> None:
    assert ask(http, Answer({"a": 1}, headers={"content-type": "text/plain"})) == b'{"a": 1}'


def test_a_hint_that_is_no_number_is_none() -> None:
    assert hint({"retry-after": "nan"}, b"", NOW) is None
    assert hint({"x-ratelimit-reset": "inf"}, b"", NOW) is None
    assert hint({}, b"\xff{", NOW) is None
