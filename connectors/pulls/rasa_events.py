"""Rasa's event broker: one JSON event a line in a file, or one a message from Kafka or AMQP (RabbitMQ).

Rasa's FileEventBroker writes the file, KafkaEventBroker and PikaEventBroker send the messages (rasa/core/brokers/). A
message is acknowledged only after its page is stored: whatever dies in between, it comes again.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field

from connectors.errors import Reject
from connectors.events import Event
from connectors.pulls.base import BadRecord, Options, Page, Record, Sent, read_sent, told
from connectors.pulls.brokers import Amqp, Kafka
from connectors.pulls.growing import Place, new_lines
from connectors.pulls.rasa import RasaEvent, parse_event, read_event, turns_of
from connectors.pulls.secret import Secret

PAGE = 500
REMEMBERED = 10_000
"""Conversations whose last user message is kept in mind, for the fallback that a later page may tell."""


class RasaEventsOptions(Options):
    path: Path | None = Field(None, description="the file that Rasa's file broker writes; rotated ones beside it are read too")
    kafka: str | None = Field(None, description="Kafka's addresses, like kafka-1:9092,kafka-2:9092")
    amqp: Secret | None = Field(None, description="RabbitMQ's address, like amqp://USER:PASSWORD@rabbit:5672/")
    topic: str = Field("rasa_core_events", description="Kafka's topic")
    group: str = Field("transcript-triage", description="Kafka's consumer group: it keeps the place")
    kafka_options: dict[str, str] = Field({}, description="further options of librdkafka, for SASL and TLS say")
    queue: str = Field("rasa_core_events", description="RabbitMQ's queue; it must exist")
    wait_seconds: Annotated[float, Field(gt=0, le=60)] = Field(5.0, description="how long a broker that is silent is listened to")


class _Cursor(Sent):
    file: str | None = None
    offset: int = 0


class RasaEvents:
    Options = RasaEventsOptions

    def __init__(self, options: RasaEventsOptions, http: httpx.Client) -> None:
        if sum(place is not None for place in (options.path, options.kafka, options.amqp)) != 1:
            raise Reject("give exactly one of `path`, `kafka` and `amqp`")
        self._options = options

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        asked: OrderedDict[str, RasaEvent] = OrderedDict()
        for lines, covered in self._batches(cursor):
            yield _page(lines, covered, start, asked)

    def parse(self, body: bytes) -> list[Event]:
        return parse_event(body)

    def _batches(self, cursor: str | None) -> Iterator[tuple[Sequence[bytes], str]]:
        if self._options.path is not None:
            yield from _of_file(self._options.path, cursor)
            return
        broker: Kafka | Amqp
        if self._options.kafka is not None:
            broker = Kafka(self._options.kafka, self._options.topic, self._options.group, self._options.kafka_options)
        else:
            assert self._options.amqp is not None
            broker = Amqp(self._options.amqp.read(), self._options.queue)
        for messages in broker.batches(PAGE, self._options.wait_seconds):
            yield messages, "{}"  # the broker keeps the place


def _of_file(path: Path, cursor: str | None) -> Iterator[tuple[Sequence[bytes], str]]:
    before = read_sent(_Cursor, cursor.encode()) if cursor else _Cursor()
    lines = new_lines(path, Place(before.file, before.offset) if before.file else None)
    while part := list(islice(lines, PAGE)):
        covered = part[-1].after
        yield (
            [line.content for line in part if line.content.strip()],
            json.dumps({"file": covered.file, "offset": covered.offset}),
        )


def _page(lines: Sequence[bytes], covered: str, start: datetime | None, asked: "OrderedDict[str, RasaEvent]") -> Page:
    """The lines' turns, each read among the others of its conversation on this page and the user's last words before it."""
    bad: list[BadRecord] = []
    by_sender: dict[str, list[tuple[bytes, RasaEvent]]] = {}
    for line in lines:
        try:
            event = read_event(line)
            parse_event(line)
        except Reject as error:
            bad.append(_bad(line, error))
            continue
        if event.sender_id and (start is None or (event.timestamp or 0) >= start.timestamp()):
            by_sender.setdefault(event.sender_id, []).append((line, event))
    events: list[Event] = []
    for sender, of_sender in by_sender.items():
        before = asked.get(sender)
        together = [*([before] if before else []), *(event for _, event in of_sender)]
        events += told(lambda sender=sender, together=together, before=before: turns_of(sender, together, before is not None))  # type: ignore[misc]
        _remember(asked, sender, together)
    return Page(covered, events, len(lines), bad)


def _bad(line: bytes, error: Reject) -> BadRecord:
    return BadRecord(Record(hashlib.sha256(line).hexdigest()[:32], line.rstrip(b"\n")), error.reason)


def _remember(asked: "OrderedDict[str, RasaEvent]", sender: str, events: Sequence[RasaEvent]) -> None:
    last: Any = next((event for event in reversed(events) if event.event == "user"), None)
    if last is not None:
        asked[sender] = last
        asked.move_to_end(sender)
        if len(asked) > REMEMBERED:
            asked.popitem(last=False)
