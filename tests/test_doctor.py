"""The signature doctor names the one thing that is off, by trying, and shows no secret."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from connectors.doctor import Finding, diagnose, diagnose_names
from connectors.events import Source
from connectors.signatures import Hmac, Scheme
from connectors.sources.botpress import BotpressSource
from connectors.sources.chatwoot import ChatwootSource
from connectors.sources.intercom import IntercomSource
from connectors.sources.standard import StandardSource
from connectors.testing import NOW

SECRET = "c2VjcmV0LW9mLXRoZS1kb2N0b3JzLXRlc3Q="
BODY = json.dumps({"event": "message_created", "text": "Grüße / hi", "id": 1}, ensure_ascii=False, separators=(",", ":")).encode()
CHATWOOT = ChatwootSource()


def signed(body: bytes = BODY, scheme: Scheme = CHATWOOT.scheme, secret: str = SECRET) -> dict[str, str]:
    return scheme.sign(body, secret, "d1", NOW)


def found(headers: dict[str, str], body: bytes = BODY, source: Source = CHATWOOT, **more: Any) -> list[Finding]:
    findings = diagnose(source, headers, body, [SECRET], more.pop("received_at", NOW), **more)
    for finding in findings:
        assert SECRET not in finding.says
        assert "Grüße" not in finding.says
    return findings


def parts(*args: Any, **more: Any) -> list[str]:
    return [finding.part for finding in found(*args, **more)]


def test_a_request_that_is_right_is_said_so() -> None:
    assert parts(signed()) == ["fine"]
    assert parts({name.upper(): f" {value} " for name, value in signed().items()}) == ["fine"]


def test_a_saved_request_is_not_blamed_for_its_age_where_nobody_knows_when_it_came() -> None:
    assert parts(signed(), received_at=None) == ["fine"]
    assert parts(signed(), received_at=NOW + timedelta(days=1)) == ["timestamp"]


@pytest.mark.parametrize(
    ("arrived", "says"),
    [
        (BODY + b"\n", "a line end was added"),
        (json.dumps(json.loads(BODY)).encode(), "read and written anew"),
        (json.dumps(json.loads(BODY), indent=2, sort_keys=True).encode(), "body"),
        (BODY.decode().encode("latin-1"), "charset"),
        (b"\xef\xbb\xbf" + BODY, "byte-order"),
    ],
)
def test_a_body_that_was_changed_on_the_way_is_named(arrived: bytes, says: str) -> None:
    (finding,) = found(signed(), arrived)

    assert finding.part == "body" if says != "body" else finding.part in ("body", "secret")
    if says != "body":
        assert says in finding.says


@pytest.mark.parametrize(
    ("used", "says"),
    [
        (f"{SECRET}\n", "line end"),
        (base64.b64decode(SECRET).decode(), "Base64"),
        ("something else", "copy it again"),
    ],
)
def test_a_wrong_secret_is_named(used: str, says: str) -> None:
    (finding,) = found(signed(secret=used))

    assert finding.part == "secret"
    assert says in finding.says


def test_the_secret_of_another_source_is_recognised() -> None:
    (finding,) = found(signed(secret="theirs"), others={"other-bot": ["theirs"]})

    assert finding.part == "secret"
    assert "'other-bot'" in finding.says
    assert "theirs" not in finding.says


@pytest.mark.parametrize(
    ("scheme", "part"),
    [
        (Hmac("x-chatwoot-signature", encoding="base64", prefix="sha256=", signed="{timestamp}.{body}"), "encoding"),
        (Hmac("x-chatwoot-signature", signed="{timestamp}.{body}"), "encoding"),
        (Hmac("x-chatwoot-signature", prefix="sha256=", signed="{body}"), "scheme"),
        (Hmac("x-chatwoot-signature", prefix="sha256=", signed="{timestamp}{body}"), "scheme"),
        (Hmac("x-chatwoot-signature", algorithm="sha1", prefix="sha1=", signed="{body}"), "scheme"),
    ],
)
def test_another_encoding_or_scheme_is_named(scheme: Hmac, part: str) -> None:
    at = str(int(NOW.timestamp()))
    headers = {"x-chatwoot-timestamp": at, scheme.header: scheme.prefix + scheme.digest(BODY, SECRET, at)}

    assert parts(headers) == [part]


def test_a_missing_and_a_renamed_header_are_told_apart() -> None:
    headers = signed()
    renamed = {"X_CHATWOOT_SIGNATURE": headers["x-chatwoot-signature"], "x-chatwoot-timestamp": headers["x-chatwoot-timestamp"]}
    foreign = {"x-proxy-thing": headers["x-chatwoot-signature"], "x-chatwoot-timestamp": headers["x-chatwoot-timestamp"]}

    assert "'x_chatwoot_signature' holds it" in found(renamed)[0].says
    assert "'x-proxy-thing' holds it" in found(foreign)[0].says
    assert "a proxy drops the header" in found({"x-chatwoot-timestamp": headers["x-chatwoot-timestamp"]})[0].says


def test_a_timestamp_in_milliseconds_is_named() -> None:
    headers = signed()
    headers["x-chatwoot-timestamp"] += "000"

    assert "milliseconds" in found(headers)[0].says


def test_two_things_at_once_are_named() -> None:
    at = str(int(NOW.timestamp()))
    signature = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()

    assert sorted(parts({"x-chatwoot-timestamp": at, "x-chatwoot-signature": f"sha256={signature}"}, BODY + b"\n")) == [
        "body",
        "scheme",
    ]


def test_shared_headers_hmac_of_intercom_and_standard_webhooks_are_examined_too() -> None:
    standard, intercom, botpress = StandardSource(), IntercomSource(), BotpressSource()
    raw = {**standard.scheme.sign(BODY, base64.b64encode(SECRET.encode()).decode(), "d1", NOW)}

    assert parts(signed(scheme=standard.scheme), source=standard) == ["fine"]
    assert parts(signed(scheme=standard.scheme), BODY + b"\n", source=standard) == ["body"]
    assert parts(raw, source=standard) == ["secret"]
    assert parts(signed(scheme=intercom.scheme), BODY + b"\n", source=intercom) == ["body"]
    assert parts({"x-bp-secret": f"Bearer {SECRET}"}, source=botpress) == ["encoding"]
    assert parts({"x-bp-secret": "other"}, source=botpress) == ["secret"]


def test_the_names_of_headers_alone_tell_which_is_missing() -> None:
    assert diagnose_names(CHATWOOT, ["Host", "X-Chatwoot-Signature", "X-Chatwoot-Timestamp"]) == []
    assert [finding.part for finding in diagnose_names(CHATWOOT, ["host"])] == ["header", "header"]
