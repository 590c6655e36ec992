"""Our own webhook format, signed as Standard Webhooks (github.com/standard-webhooks: spec 1.0).

Headers `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature` (space-separated `v1,<base64>`), an
HMAC-SHA256 over `id.timestamp.body`. Several secrets may hold at once, so that one can be rotated.
"""

import hmac
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from connectors.errors import Reject, explain
from connectors.events import MAX_ID_LENGTH, Delivery, Event

MAX_EVENTS = 10_000


class _Body(BaseModel):
    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)]


class StandardSource:
    def __init__(self, replay_window: timedelta = timedelta(minutes=5)) -> None:
        self._replay_window = replay_window

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        delivery_id = _header(headers, "webhook-id")
        timestamp = _header(headers, "webhook-timestamp")
        signatures = _header(headers, "webhook-signature")
        if len(delivery_id) > MAX_ID_LENGTH:
            raise Reject(f"header webhook-id: longer than {MAX_ID_LENGTH} characters")
        sent_at = _time(timestamp)
        if abs(now - sent_at) > self._replay_window:
            raise Reject(
                f"header webhook-timestamp: more than {self._replay_window.total_seconds():.0f} s away from this server's clock"
            )
        try:
            signed = body.decode()
        except UnicodeDecodeError as error:
            raise Reject("header webhook-signature: no signature matches (the body is not UTF-8)") from error
        given = [part.partition(",")[2] for part in signatures.split(" ") if part.startswith("v1,")]
        for secret in secrets:
            expected = _hook(secret).sign(delivery_id, sent_at, signed).partition(",")[2]
            if any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in given):
                return Delivery(id=delivery_id, sent_at=sent_at)
        raise Reject("header webhook-signature: no v1 signature matches any secret of this source")

    def parse(self, body: bytes) -> list[Event]:
        try:
            return _Body.model_validate_json(body).events
        except ValidationError as error:
            raise Reject(explain(error)) from error


def _hook(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise Reject("a secret configured for this source is not base64 after 'whsec_': mend TRIAGE_SOURCES") from error


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Reject(f"header {name}: missing")
    return value


def _time(timestamp: str) -> datetime:
    try:
        seconds = float(timestamp)
        if not math.isfinite(seconds) or seconds != int(seconds):
            raise ValueError(timestamp)
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Reject("header webhook-timestamp: not a whole number of unix seconds") from error
