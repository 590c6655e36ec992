"""The sources as an admin sees them: what came, what was refused and why, and a test delivery that really travels."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from connectors.events import Source
from connectors.reading import Speaking
from service.db import Database
from service.errors import Invalid
from service.models import Conversation, Delivery, DeliveryCount, DeliveryState, Turn
from service.settings import Settings
from service.tally import Outcome

TEST = "triage-test-"
TESTED = "The test delivery was signed, sent, accepted and found on disk; it is removed again."
TESTED_EMPTY = "The test delivery was signed, sent and accepted. It tells of no turn, so nothing was stored."
TEST_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Counted:
    """Deliveries refused for one reason, or events ignored by one name."""

    what: str
    count: int
    last_at: datetime
    headers: list[str]


@dataclass(slots=True)
class Connection:
    """`unreadable`: how many wait for a replay now; `accepted` counts repeated ones too."""

    name: str
    kind: str
    accepted: int = 0
    unreadable: int = 0
    last_at: datetime | None = None
    refused: list[Counted] = field(default_factory=list)
    ignored: list[Counted] = field(default_factory=list)


def connections(session: Session, settings: Settings) -> list[Connection]:
    """All configured sources by name. What the web processes counted in the last seconds may be missing."""
    found = {name: Connection(name, settings.sources[name].kind) for name in sorted(settings.sources)}
    counts = select(DeliveryCount).order_by(col(DeliveryCount.count).desc(), col(DeliveryCount.what))
    for row in session.execute(counts.where(col(DeliveryCount.source).in_(list(found)))).scalars():
        one = found[row.source]
        if row.outcome == Outcome.accepted:
            one.accepted, one.last_at = row.count, row.last_at
        elif row.outcome in (Outcome.refused, Outcome.ignored):
            into = one.refused if row.outcome == Outcome.refused else one.ignored
            into.append(Counted(row.what, row.count, row.last_at, row.headers or []))
    waiting = select(col(Delivery.source), func.count()).where(col(Delivery.state) == DeliveryState.unreadable)
    for source, count in session.execute(waiting.group_by(col(Delivery.source))):
        if source in found:
            found[source].unreadable = count
    return list(found.values())


def own_address(settings: Settings) -> str:
    """Where this installation's web process listens, as seen from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{settings.port}"


def send_test(db: Database, client: httpx.Client, name: str, source: Source, held: Sequence[str], now: datetime) -> int | None:
    """Sign a sample as the platform would, post it to our own address, look for it in the database, remove it again.

    How many turns were found, None where the sample tells of no conversation. It stays open and lives for a moment only:
    it never reaches the queue.

    Raises
    ------
    Invalid
        The source cannot speak as its platform, or the delivery did not arrive; the message says why.
    """
    if not isinstance(source, Speaking):
        raise Invalid(f"{name}: this kind of source has no sample to send")
    conversation = TEST + secrets.token_hex(8)
    body = source.sample(conversation, now)
    headers = source.scheme.sign(body, next(filter(None, held), ""), conversation, now)
    try:
        answer = client.post(f"/hooks/{name}", content=body, headers={**headers, "content-type": "application/json"})
    except httpx.HTTPError as error:
        raise Invalid(f"{name}: the web process does not answer at {client.base_url} ({type(error).__name__})") from error
    if answer.status_code != 202:
        raise Invalid(f"{name}: the test delivery was answered with {answer.status_code}: {_detail(answer)}")
    turns = _remove(db, name, conversation, source.verify(headers, body, held, now).id)
    if turns == 0:
        raise Invalid(f"{name}: the test delivery was accepted, but its turns are not in this database")
    return turns


def _detail(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return "no reason was given; another program may listen there"
    return str(told.get("detail", "")) if isinstance(told, Mapping) else ""


def _remove(db: Database, source: str, conversation: str, delivery_id: str) -> int | None:
    """How many turns it had; None where no conversation came of it."""
    mine = (col(Conversation.source) == source, col(Conversation.external_id) == conversation)
    with db.write() as session:
        found = session.execute(select(col(Conversation.id)).where(*mine)).scalar()
        counted = select(func.count()).where(col(Turn.conversation_id) == found)
        turns = None if found is None else session.execute(counted).scalar_one()
        session.execute(delete(Conversation).where(*mine))
        session.execute(delete(Delivery).where(col(Delivery.source) == source, col(Delivery.external_id) == delivery_id))
    return turns
