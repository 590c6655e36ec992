"""Sends prepared requests over a few kept connections: raw HTTP/1.1, so that the sender is not what is measured."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Sent:
    """`statuses` counts answers by status; `seconds` from the first byte sent to the last answer."""

    statuses: dict[int, int]
    seconds: float

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds


def deliveries_of(conversations: Sequence[dict[str, Any]]) -> list[tuple[str, bytes]]:
    """(delivery id, body): one turn a delivery, as platforms send them; the last one closes the conversation."""
    found = []
    for conversation in conversations:
        turns = conversation["turns"]
        for i, turn in enumerate(turns):
            events: list[dict[str, Any]] = [
                {"type": "turn_added", "conversation_id": conversation["id"], "turn": turn, "position": i}
            ]
            if i == len(turns) - 1:
                events.append({"type": "conversation_closed", "conversation_id": conversation["id"]})
            found.append((f"{conversation['id']}-{i}", json.dumps({"events": events}).encode()))
    return found


def prepare(deliveries: Sequence[tuple[str, bytes]], secret: str, path: str) -> list[bytes]:
    """Signed requests, ready to send; they are valid for the receiver's replay window."""
    hook = Webhook(secret)
    now = datetime.now(UTC)
    requests = []
    for delivery_id, body in deliveries:
        signature = hook.sign(delivery_id, now, body.decode())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nwebhook-id: {delivery_id}\r\n"
            f"webhook-timestamp: {int(now.timestamp())}\r\nwebhook-signature: {signature}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def send(port: int, requests: Sequence[bytes], connections: int) -> Sent:
    return asyncio.run(_send(port, requests, connections))


async def _send(port: int, requests: Sequence[bytes], connections: int) -> Sent:
    statuses: dict[int, int] = {}
    waiting = iter(requests)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            lower = head.lower()
            at = lower.find(b"content-length:")
            if at >= 0:
                await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Sent(statuses, time.perf_counter() - started)
