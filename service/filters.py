"""Which items: what pages, programs and named queues can narrow the queue to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlmodel import Session, col

from service.models import Conversation, Evidence, Exchange, NamedQueue, ReviewItem

RAISED = 0.5
"""The probability from which evidence speaks against an answer."""
_SAME = ("source", "strategy", "intent", "channel")


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items; None means any. `queue`: those of the named queue."""

    signal: str | None = None
    source: str | None = None
    strategy: str | None = None
    queue: str | None = None
    intent: str | None = None
    channel: str | None = None
    least_priority: float | None = None


def filter_of(queue: NamedQueue) -> QueueFilter:
    return QueueFilter(
        signal=queue.signal,
        source=queue.source,
        strategy=queue.strategy,
        intent=queue.intent,
        channel=queue.channel,
        least_priority=queue.least_priority,
    )


def matches(only: QueueFilter) -> list[Any]:
    """The filter as conditions on review items."""
    wanted: list[Any] = [col(getattr(ReviewItem, name)) == value for name in _SAME if (value := getattr(only, name))]
    if only.least_priority is not None:
        wanted.append(col(ReviewItem.priority) >= only.least_priority)
    if only.signal:
        wanted.append(_raised(only.signal))
    if only.queue:
        wanted.append(_in_queue(only.queue))
    return wanted


def repeat_exchange(session: Session, exchange_ids: Sequence[int]) -> None:
    """The items of these exchanges repeat what queues filter by: whoever adds items calls this."""
    asked = (
        select(Exchange)
        .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
        .where(col(Exchange.id) == col(ReviewItem.exchange_id))
        .correlate(ReviewItem)
    )
    fields = {"source": col(Exchange.source), "channel": col(Conversation.channel), "intent": col(Exchange.intent)}
    values = {name: asked.with_only_columns(field).scalar_subquery() for name, field in fields.items()}
    session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.exchange_id).in_(exchange_ids))
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def matches_all(*filters: QueueFilter) -> list[Any]:
    return [condition for one in filters for condition in matches(one)]


def without_queue(only: QueueFilter) -> QueueFilter:
    return replace(only, queue=None)


def _raised(signal: Any) -> Any:
    return (
        select(col(Evidence.id))
        .where(
            col(Evidence.exchange_id) == col(ReviewItem.exchange_id),
            col(Evidence.name) == signal,
            col(Evidence.probability) >= RAISED,
        )
        .correlate(ReviewItem, NamedQueue)
        .exists()
    )


def _in_queue(name: str) -> Any:
    """By name alone, for lists: claiming reads the queue first, so that its filter's indexes serve."""
    same = [or_(col(getattr(NamedQueue, f)).is_(None), col(getattr(NamedQueue, f)) == col(getattr(ReviewItem, f))) for f in _SAME]
    return (
        select(col(NamedQueue.id))
        .where(
            col(NamedQueue.name) == name,
            *same,
            or_(col(NamedQueue.least_priority).is_(None), col(ReviewItem.priority) >= col(NamedQueue.least_priority)),
            or_(col(NamedQueue.signal).is_(None), _raised(col(NamedQueue.signal))),
        )
        .correlate(ReviewItem)
        .exists()
    )


def one_of(queues: list[NamedQueue]) -> list[Any]:
    """One condition a queue: the item is in it."""
    return [and_(True, *matches(filter_of(queue))) for queue in queues]
