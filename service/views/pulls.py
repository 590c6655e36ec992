"""The pulls as the connections page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.models import PullCursor
from service.settings import PullSettings
from service.views.words import Moment, moment, sentence


@dataclass(frozen=True, slots=True)
class PullShown:
    name: str
    kind: str
    anchor: str
    schedule: str
    state: str
    weight: str
    error: str | None
    tries: int
    ran: Moment | None
    succeeded: Moment | None
    next: Moment | None
    records: str
    unreadable: int


def pulls_shown(configured: Mapping[str, PullSettings], rows: Mapping[str, PullCursor], now: datetime) -> list[PullShown]:
    """Each configured pull and how it stands."""
    return [_shown(name, pull, rows.get(name), now) for name, pull in configured.items()]


def _shown(name: str, pull: PullSettings, row: PullCursor | None, now: datetime) -> PullShown:
    running = row is not None and row.claimed_until is not None and row.claimed_until > now
    failed = row is not None and row.error is not None
    state = "asking now" if running else "in trouble" if failed else "fine" if row and row.succeeded_at else "not asked yet"
    return PullShown(
        name=name,
        kind=pull.kind,
        anchor=f"pull-{name}",
        schedule=f"every {pull.every_minutes:g} minutes" if pull.every_minutes else "only by hand",
        state=state,
        weight="strong" if failed else "good" if state == "fine" else "calm",
        error=sentence(row.error) if row and row.error else None,
        tries=row.attempts if row else 0,
        ran=moment(row.ran_at) if row else None,
        succeeded=moment(row.succeeded_at) if row else None,
        next=moment(row.due_at) if row else None,
        records=f"{row.records if row else 0:,}",
        unreadable=row.unreadable if row else 0,
    )
