"""Rasa's events from message brokers: acknowledged only after they are stored."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from connectors.errors import Reject, Retry
from connectors.events import TurnAdded
from connectors.pulls import brokers
from connectors.pulls.base import Page
from connectors.pulls.brokers import Amqp
from connectors.pulls.rasa_events import RasaEvents, RasaEventsOptions

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def message(text: str) -> bytes:
    return json.dumps({"event": "user", "text": text, "timestamp": NOW.timestamp(), "sender_id": "u1"}).encode()


def said(pages: list[Page]) -> list[str]:
    return [event.turn.text for page in pages for event in page.events if isinstance(event, TurnAdded)]


class Broker:
    """librdkafka's own mock of a Kafka cluster: real sockets, real protocol."""

    def __init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1})
        brokers = self._producer.list_topics("rasa_core_events", timeout=10).brokers
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())

    def send(self, *texts: str) -> None:
        for text in texts:
            self._producer.produce("rasa_core_events", message(text), key=b"u1")
        self._producer.flush(10)


@pytest.fixture
def kafka() -> Broker:
    return Broker()  # the mock cluster ends with its producer


def events_of(kafka: Broker, **more: Any) -> RasaEvents:
    options = RasaEventsOptions(kafka=kafka.address, wait_seconds=1.0, kafka_options={"session.timeout.ms": "6000"}, **more)
    return RasaEvents(options, None)  # type: ignore[arg-type]  # it speaks Kafka


def test_kafka_gives_again_what_was_not_stored(kafka: Broker) -> None:
    kafka.send("one", "two")
    pages = events_of(kafka).fetch(None, None, NOW)
    before = next(iter(pages))
    pages.close()  # type: ignore[attr-defined]  # a process that dies before it has stored the page

    again = list(events_of(kafka).fetch(None, None, NOW))
    kafka.send("three")
    later = list(events_of(kafka).fetch(again[-1].cursor, None, NOW))

    assert said([before]) == said(again) == ["one", "two"]
    assert said(later) == ["three"]


def test_a_kafka_that_is_not_there_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "JOINING_SECONDS", 1.0)
    options = RasaEventsOptions(kafka="127.0.0.1:9", wait_seconds=0.1)

    with pytest.raises(Retry, match="Kafka cannot be reached"):
        list(RasaEvents(options, None).fetch(None, None, NOW))  # type: ignore[arg-type]


def test_an_unknown_option_of_kafka_is_told(kafka: Broker) -> None:
    options = RasaEventsOptions(kafka=kafka.address, kafka_options={"no.such.option": "1"})

    with pytest.raises(Reject, match=r"`kafka_options`: .*no\.such\.option"):
        list(RasaEvents(options, None).fetch(None, None, NOW))  # type: ignore[arg-type]


class Queue:
    """RabbitMQ as pika shows it: a connection with one channel and one queue."""

    def __init__(self, *texts: str) -> None:
        self.waiting = [(tag, message(text)) for tag, text in enumerate(texts, 1)]
        self.acknowledged = 0
        self.is_open = True
        self.connection = self

    def channel(self) -> "Queue":
        return self

    def basic_qos(self, prefetch_count: int) -> None:
        assert prefetch_count

    def basic_get(self, queue: str) -> Any:
        from pika.spec import Basic

        assert queue == "rasa_core_events"
        if not self.waiting:
            return None, None, None
        tag, body = self.waiting.pop(0)
        return Basic.GetOk(delivery_tag=tag), None, body

    def basic_ack(self, tag: int, multiple: bool) -> None:
        assert multiple
        self.acknowledged = tag

    def sleep(self, seconds: float) -> None:
        time.sleep(0.01)

    def close(self) -> None:
        self.is_open = False


def test_rabbitmq_is_told_only_after_the_page_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue("one", "two", "three")
    monkeypatch.setattr("pika.BlockingConnection", lambda parameters: queue)
    pull = RasaEvents(RasaEventsOptions(amqp="amqp://u:p@rabbit:5672/", wait_seconds=0.05), None)  # type: ignore[arg-type]

    pages = pull.fetch(None, None, NOW)
    first = next(iter(pages))
    before = queue.acknowledged
    rest = list(pages)

    assert said([first]) == ["one", "two", "three"]
    assert (before, queue.acknowledged, rest, queue.is_open) == (0, 3, [], False)


def test_a_rabbitmq_that_is_not_there_is_tried_again() -> None:
    with pytest.raises(Retry, match="RabbitMQ"):
        list(Amqp("amqp://u:p@127.0.0.1:9/?connection_attempts=1&socket_timeout=1", "q").batches(10, 0.1))


def test_a_rabbitmq_address_that_is_none_is_told() -> None:
    with pytest.raises(Reject, match="`amqp`"):
        list(Amqp("amqp://h:port/", "q").batches(10, 0.1))
