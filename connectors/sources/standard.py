"""Our own webhook format, signed as Standard Webhooks (connectors/signatures.py)."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from connectors.errors import Reject, explain
from connectors.events import Delivery, Event, SentEvent
from connectors.signatures import WINDOW, Scheme, StandardWebhooks

MAX_EVENTS = 10_000


class _Body(BaseModel):
    events: Annotated[list[SentEvent], Field(max_length=MAX_EVENTS)]


class StandardSource:
    def __init__(self, replay_window: timedelta = WINDOW) -> None:
        self.scheme: Scheme = StandardWebhooks(replay_window)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        sent_at = self.scheme.verify(headers, body, secrets, now)
        return Delivery(id=headers["webhook-id"], sent_at=sent_at)

    def parse(self, body: bytes) -> list[Event]:
        try:
            return [*_Body.model_validate_json(body).events]
        except ValidationError as error:
            raise Reject(explain(error)) from error

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        turns = [("user", "Is this a test?"), ("bot", "Yes, this is a test delivery.")]
        events = [
            {
                "type": "turn_added",
                "conversation_id": conversation_id,
                "turn": {"id": f"t{place}", "role": role, "text": text, "at": now.isoformat()},
            }
            for place, (role, text) in enumerate(turns)
        ]
        return json.dumps({"events": events}).encode()
