"""Message brokers: batches of messages, acknowledged when the next batch is asked for, never before."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from connectors.errors import Reject, Retry

JOINING_SECONDS = 10.0
"""To find the broker and to join the group, before the first message can come."""


class Kafka:
    """A topic through confluent-kafka; the consumer group keeps the place."""

    def __init__(self, servers: str, topic: str, group: str, options: dict[str, str]) -> None:
        self._topic = topic
        self._settings = {
            "auto.offset.reset": "earliest",
            **options,
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
        }

    def batches(self, most: int, wait_seconds: float) -> Iterator[Sequence[bytes]]:
        """Messages that wait, until none came for `wait_seconds`.

        Raises
        ------
        Reject
            The client is not installed, or an option or the topic is wrong.
        Retry
            The broker cannot be reached.
        """
        try:
            from confluent_kafka import Consumer, KafkaError, KafkaException
        except ImportError as error:
            raise Reject("reading from Kafka needs: pip install 'transcript-triage[kafka]'") from error
        try:
            consumer: Any = Consumer(self._settings)
        except KafkaException as error:
            raise Reject(f"`kafka_options`: {error.args[0].str()}") from error
        try:
            self._check_topic(consumer, wait_seconds, KafkaException, KafkaError)
            consumer.subscribe([self._topic])
            patience = max(wait_seconds, JOINING_SECONDS)
            while messages := consumer.consume(most, patience):
                for message in messages:
                    if message.error():
                        raise Retry(f"Kafka: {message.error().str()}")
                yield [message.value() or b"" for message in messages]
                consumer.commit(asynchronous=False)
                patience = wait_seconds
        except KafkaException as error:
            raise Retry(f"Kafka: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def _check_topic(self, consumer: Any, wait_seconds: float, failure: type[Exception], codes: Any) -> None:
        try:
            found = consumer.list_topics(self._topic, timeout=max(wait_seconds, JOINING_SECONDS)).topics[self._topic]
        except failure as error:
            raise Retry(f"Kafka cannot be reached: {error.args[0].str()}") from error
        if found.error is not None:
            unknown = found.error.code() == codes.UNKNOWN_TOPIC_OR_PART
            raise Reject(f"Kafka has no topic {self._topic}: check `topic`") if unknown else Retry(f"Kafka: {found.error.str()}")


class Amqp:
    """A queue of RabbitMQ through pika; what is not acknowledged goes back to the queue."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue

    def batches(self, most: int, wait_seconds: float) -> Iterator[Sequence[bytes]]:
        """Messages that wait, until none came for `wait_seconds`.

        Raises
        ------
        Reject
            The client is not installed, the address or the credentials are wrong, or there is no such queue.
        Retry
            The broker cannot be reached or went away.
        """
        try:
            import pika
            from pika import exceptions as told
        except ImportError as error:
            raise Reject("reading from RabbitMQ needs: pip install 'transcript-triage[amqp]'") from error
        try:
            parameters = pika.URLParameters(self._url)
        except (ValueError, TypeError) as error:
            raise Reject("`amqp` is no address like amqp://USER:PASSWORD@HOST:5672/") from error
        try:
            connection: Any = pika.BlockingConnection(parameters)
            try:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=most)
                while batch := _gather(channel, self._queue, most, wait_seconds):
                    yield [body for _, body in batch]
                    channel.basic_ack(batch[-1][0], multiple=True)
            finally:
                if connection.is_open:
                    connection.close()
        except (told.ProbableAuthenticationError, told.ProbableAccessDeniedError, told.AuthenticationError) as error:
            raise Reject("RabbitMQ refuses the credentials: check `amqp`") from error
        except told.ChannelClosedByBroker as error:
            if error.reply_code in (403, 404):
                raise Reject(f"RabbitMQ has no queue {self._queue} for this user: check `queue`") from error
            raise Retry(f"RabbitMQ closed the channel ({error.reply_code})") from error
        except told.AMQPError as error:
            raise Retry(f"RabbitMQ cannot be reached or went away ({type(error).__name__})") from error


def _gather(channel: Any, queue: str, most: int, wait_seconds: float) -> list[tuple[int, bytes]]:
    """(delivery tag, body) of the messages that wait; empty after so long a silence."""
    found: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + wait_seconds
    while len(found) < most:
        method, _, body = channel.basic_get(queue)
        if method is not None:
            found.append((method.delivery_tag, body))
        elif found or time.monotonic() > deadline:
            break
        else:
            channel.connection.sleep(0.2)  # answers the broker's heartbeats meanwhile
    return found
