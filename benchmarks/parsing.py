"""What verifying and parsing cost, by source, as a share of a whole ingest request, in one process and one run.

    python -m benchmarks.parsing [ROUNDS]

A request goes through the whole application (routing, verify, parse, redact, commit with a flush to disk, answer), one after
the other, without a network between. The reach is a share of at most 20 %. The share of the processor's time is the stricter
one: waiting for the disk does not count.
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from pydantic import SecretStr

from connectors.reading import Speaking
from service.app import create_app
from service.migrate import upgrade
from service.settings import Settings, SourceSettings

PAYLOADS = Path("tests/payloads")
SECRET = "c2VjcmV0LWZvci10aGUtYmVuY2htYXJr"
GENERIC: dict[str, Any] = {
    "header": "x-sig", "events": "batch", "conversation_id": "chat", "turn_id": "message.uid", "role": 'message."from"',
    "roles": {"customer": "user", "assistant": "bot"}, "text": "message.body", "time": "message.ts", "intent": "nlu.label",
    "confidence": "nlu.p", "ranking": "nlu.top", "retrieval": "hits", "rating": "vote.verdict", "ratings": {"bad": -1},
    "rating_scale": "thumb", "feedback_id": "vote.id", "closed": "over",
}  # fmt: skip
KINDS = ("standard", "chatwoot", "intercom", "sunshine", "botpress", "generic")


async def measure(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/triage.db"
        upgrade(url)
        sources = {
            kind: SourceSettings(kind=kind, secrets=[SecretStr(SECRET)], **(GENERIC if kind == "generic" else {}))
            for kind in KINDS
        }
        app = create_app(Settings(database_url=url, sources=sources, encoder="hashing", log_level="error"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as client:
            print(f"{'source':<10} {'events':>6} {'verify+parse':>13} {'request':>10} {'share':>6} {'of processor':>13}")
            for kind in KINDS:
                await _of_source(kind, app.state.sources[kind], client, rounds)
        app.state.tally.close()
        app.state.db.close()


async def _of_source(kind: str, source: Any, client: httpx.AsyncClient, rounds: int) -> None:
    assert isinstance(source, Speaking)
    bodies = [path.read_bytes() for path in sorted((PAYLOADS / kind).glob("*.json"))]
    reading, whole, working, events = [], [], [], 0
    for number in range(rounds):
        # Another conversation each time, so that every request stores something new.
        for body in (_renamed(one, number) for one in bodies):
            now = datetime.now(UTC)
            headers = source.scheme.sign(body, SECRET, f"{kind}-{number}-{hash(body)}", now)  # type: ignore[attr-defined]
            begun = time.perf_counter()
            source.verify(headers, body, [SECRET], now)  # type: ignore[attr-defined]
            events += len(source.parse(body))  # type: ignore[attr-defined]
            reading.append(time.perf_counter() - begun)
            begun, worked = time.perf_counter(), time.process_time()
            answer = await client.post(f"/hooks/{kind}", content=body, headers=headers)
            whole.append(time.perf_counter() - begun)
            working.append(time.process_time() - worked)
            assert answer.status_code == 202, answer.text
    share, of_processor = median(reading) / median(whole), median(reading) / median(working)
    cost = f"{median(reading) * 1e6:10.0f} us {median(whole) * 1e3:7.2f} ms"
    print(f"{kind:<10} {events / len(reading):6.1f} {cost} {share:6.1%} {of_processor:13.1%}")


def _renamed(body: bytes, number: int) -> bytes:
    for name in (b'"c1"', b'"id": 31', b'"77"', b'"conv9"', b'"conv_1"', b'"g1"', b'"display_id": "1"'):
        body = body.replace(name, name.rstrip(b'"') + b"%d" % number + (b'"' if name.endswith(b'"') else b""))
    return body


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
