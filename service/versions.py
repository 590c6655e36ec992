"""Versions of what learns: who may fit a new one, which is live, and how a person chooses another."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.orm import defer
from sqlmodel import Session, col

from service.db import Database, changed, insert_into
from service.errors import Conflict, Invalid, NotFound
from service.models import LiveModel, Model

log = structlog.get_logger()
SHIPPED = frozenset({"weights"})
"""Kinds that the program brings a version of, which is live where no other is."""
LEASE = timedelta(minutes=2)
"""How long a claim holds without a sign of life: then a fit whose worker was stopped or killed is anybody's."""
BEAT_SECONDS = 20.0
AFTER_FAILURE = timedelta(minutes=30)
"""How long a fit that failed keeps its claim, counted from its beginning, so that the next try is not at once."""

_BARE = select(Model).options(defer(Model.content))  # type: ignore[arg-type]
_LIVE = _BARE.join(LiveModel, col(LiveModel.model_id) == col(Model.id))


@dataclass(slots=True)
class Claimed:
    """The right to fit the next version, until `until`; `live` is what it has to beat, without its content.

    `until` also tells whose claim it is; whoever reads or moves it holds `lock`, for a thread of its own renews it.
    """

    kind: str
    source: str
    until: datetime
    live_id: int | None
    live: Model | None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A version that is about to be stored. `encoder`: what vectors it is for, empty where it needs none."""

    version: str
    encoder: str
    examples: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """A stored version as it is listed."""

    kind: str
    source: str
    version: str
    fitted_at: datetime
    examples: int
    live: bool
    pinned: bool
    comparison: Mapping[str, Any] | None


def claim_fit(db: Database, kind: str, source: str, now: datetime, lease: timedelta = LEASE) -> Claimed | None:
    """The right to fit this kind for this source; None where a worker has it."""
    until = now + lease
    with db.write() as session:
        session.execute(insert_into(session, LiveModel).values(kind=kind, source=source, pinned=False).on_conflict_do_nothing())
        free = or_(col(LiveModel.claimed_until).is_(None), col(LiveModel.claimed_until) <= now)
        if changed(session, update(LiveModel).where(*_slot(kind, source), free).values(claimed_until=until)) == 0:
            return None
        live = session.execute(_LIVE.where(*_slot(kind, source))).scalar_one_or_none()
    return Claimed(kind, source, until, live.id if live else None, live)


def renew(db: Database, claimed: Claimed, until: datetime) -> bool:
    """Hold the right until then; False where it has lapsed and somebody else has it."""
    with claimed.lock:
        with db.write() as session:
            held = _move(session, claimed, until)
        if held:
            claimed.until = until
    return held


def release(db: Database, claimed: Claimed) -> None:
    """Give the right back; harmless where it has lapsed."""
    with claimed.lock, db.write() as session:
        _move(session, claimed, None)


@contextmanager
def fitting(
    db: Database, kind: str, source: str, now: datetime, lease: timedelta = LEASE, beat_seconds: float = BEAT_SECONDS
) -> Iterator[Claimed | None]:
    """`claim_fit`, renewed for as long as the fit takes and given back at its end; a fit that failed keeps it for a while."""
    claimed = claim_fit(db, kind, source, now, lease)
    if claimed is None:
        yield None
        return
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(db, claimed, now, lease, beat_seconds, ended), name="claim", daemon=True)
    beating.start()
    try:
        yield claimed
    except Exception:
        _end(ended, beating)
        renew(db, claimed, now + AFTER_FAILURE)
        raise
    except BaseException:  # asked to end, not failed: anybody may try at once
        _end(ended, beating)
        release(db, claimed)
        raise
    _end(ended, beating)
    release(db, claimed)


def _beat(db: Database, claimed: Claimed, now: datetime, lease: timedelta, beat_seconds: float, ended: threading.Event) -> None:
    began = time.monotonic()
    held = True
    while held and not ended.wait(beat_seconds):
        try:
            held = renew(db, claimed, now + timedelta(seconds=time.monotonic() - began) + lease)
        except Exception as error:  # noqa: BLE001 - the database may be back before the claim lapses
            log.warning("claim_not_renewed", kind=claimed.kind, source=claimed.source, error=type(error).__name__)


def _end(ended: threading.Event, beating: threading.Thread) -> None:
    ended.set()
    beating.join()


def store(
    db: Database, claimed: Claimed, fitted: Fitted, comparison: Mapping[str, Any], now: datetime, forced: bool = False
) -> bool:
    """Keep the version, and make it live if it is better and nobody pinned another; False if it is not live afterwards.

    `forced`: the live version cannot be used any more, so this one replaces it even where a person had chosen it.

    Raises
    ------
    Conflict
        The claim has lapsed and somebody else fits, or the live version was changed meanwhile: nothing is stored.
    """
    with claimed.lock, db.write() as session:
        slot = session.execute(
            select(col(LiveModel.model_id), col(LiveModel.pinned))
            .where(*_slot(claimed.kind, claimed.source), col(LiveModel.claimed_until) == claimed.until)
            .with_for_update()
        ).first()
        if slot is None or slot.model_id != claimed.live_id:
            raise Conflict(f"the live version of {claimed.kind} changed while a new one was fitted")
        pinned = slot.pinned and not forced
        live = forced or (bool(comparison["better"]) and not pinned)
        reason = f"Kept aside, a person chose the live version. {comparison['reason']}" if pinned else comparison["reason"]
        model_id = _put(session, claimed, fitted, {**comparison, "reason": reason}, now)
        if live and model_id != slot.model_id:
            session.execute(update(Model).where(col(Model.id) == model_id).values(replaced_id=slot.model_id))
            session.execute(
                update(LiveModel).where(*_slot(claimed.kind, claimed.source)).values(model_id=model_id, pinned=pinned)
            )
        live = live or model_id == slot.model_id
    log.info(
        "version_fitted", kind=claimed.kind, source=claimed.source, version=fitted.version, live=live, examples=fitted.examples
    )
    return live


def live_models(session: Session, kind: str) -> dict[str, Model]:
    """The live version by source, without its content."""
    return {one.source: one for one in session.execute(_LIVE.where(col(LiveModel.kind) == kind)).scalars()}


def last_fits(session: Session, kind: str) -> dict[str, Model]:
    """The latest fit by source, live or not, without its content."""
    rows = session.execute(_BARE.where(col(Model.kind) == kind).order_by(col(Model.fitted_at), col(Model.id))).scalars()
    return {one.source: one for one in rows}


def listed(session: Session, kind: str | None = None, source: str | None = None) -> list[Version]:
    """Every version, by kind and source, the latest first."""
    wanted = (
        select(
            col(Model.kind), col(Model.source), col(Model.version), col(Model.fitted_at), col(Model.examples),
            (col(LiveModel.model_id) == col(Model.id)).label("live"), col(LiveModel.pinned), col(Model.comparison),
        )
        .join(LiveModel, (col(LiveModel.kind) == col(Model.kind)) & (col(LiveModel.source) == col(Model.source)), isouter=True)
        .order_by(col(Model.kind), col(Model.source), col(Model.fitted_at).desc(), col(Model.id).desc())
    )  # fmt: skip
    if kind is not None:
        wanted = wanted.where(col(Model.kind) == kind)
    if source is not None:
        wanted = wanted.where(col(Model.source) == source)
    return [
        Version(
            row.kind,
            row.source,
            row.version,
            row.fitted_at,
            row.examples,
            bool(row.live),
            bool(row.live and row.pinned),
            row.comparison,
        )
        for row in session.execute(wanted)
    ]


def find(session: Session, version: str, source: str | None = None) -> Version:
    """The version of this name.

    Raises
    ------
    NotFound
        There is none.
    Invalid
        Several sources have it and `source` does not say which.
    """
    found = [one for one in listed(session, source=source) if one.version == version]
    if not found:
        raise NotFound(f"there is no version {version}")
    if len(found) > 1:
        raise Invalid(f"several sources have {version}: say which ({', '.join(one.source or 'all' for one in found)})")
    return found[0]


def use(session: Session, version: str, source: str | None = None) -> Version:
    """Make this version live, and keep it so whatever is fitted later, until `unpin`.

    Raises
    ------
    NotFound, Invalid
        As for `find`.
    """
    chosen = find(session, version, source)
    model_id = session.execute(
        select(col(Model.id)).where(
            col(Model.kind) == chosen.kind, col(Model.source) == chosen.source, col(Model.version) == chosen.version
        )
    ).scalar_one()
    session.execute(
        insert_into(session, LiveModel).values(kind=chosen.kind, source=chosen.source, pinned=True).on_conflict_do_nothing()
    )
    before = _live_id(session, chosen.kind, chosen.source)
    if before != model_id:
        session.execute(update(Model).where(col(Model.id) == model_id).values(replaced_id=before))
    session.execute(update(LiveModel).where(*_slot(chosen.kind, chosen.source)).values(model_id=model_id, pinned=True))
    return find(session, version, chosen.source)


def rollback(session: Session, kind: str, source: str) -> Version | None:
    """Make the version live that was so before, and keep it until `unpin`; None where that is what ships with the program.

    Raises
    ------
    Conflict
        There was none before.
    """
    now = session.execute(_LIVE.where(*_slot(kind, source))).scalar_one_or_none()
    if now is None or (now.replaced_id is None and kind not in SHIPPED):
        raise Conflict(f"no version of {kind} was live before this one")
    session.execute(update(LiveModel).where(*_slot(kind, source)).values(model_id=now.replaced_id, pinned=True))
    return None if now.replaced_id is None else find(session, session.get_one(Model, now.replaced_id).version, source)


def unpin(session: Session, kind: str, source: str) -> None:
    """Let refits replace the live version again.

    Raises
    ------
    NotFound
        Nothing of this kind is live.
    """
    if changed(session, update(LiveModel).where(*_slot(kind, source)).values(pinned=False)) == 0:
        raise NotFound(f"no version of {kind} is live")


def scored_by(versions: Mapping[str, str | None]) -> str:
    """The versions among a score's that refits replace, as one text; two scores with the same need no rescoring."""
    return f"{versions.get('weights') or '-'} {versions.get('intents') or '-'}"


def _put(session: Session, claimed: Claimed, fitted: Fitted, comparison: Mapping[str, Any], now: datetime) -> int:
    row = {
        "kind": claimed.kind,
        "source": claimed.source,
        "version": fitted.version,
        "encoder": fitted.encoder,
        "examples": fitted.examples,
        "content": fitted.content,
        "fitted_at": now,
        "comparison": comparison,
    }
    again: dict[str, Any] = {"fitted_at": now, "examples": fitted.examples}
    if claimed.live is None or claimed.live.version != fitted.version:  # how the live version came to be live stays told
        again["comparison"] = comparison
    model_id: int = session.execute(
        insert_into(session, Model)
        .values(row)
        .on_conflict_do_update(index_elements=["kind", "source", "version"], set_=again)
        .returning(col(Model.id))
    ).scalar_one()
    return model_id


def _live_id(session: Session, kind: str, source: str) -> int | None:
    return session.execute(select(col(LiveModel.model_id)).where(*_slot(kind, source)).with_for_update()).scalar_one_or_none()


def _move(session: Session, claimed: Claimed, until: datetime | None) -> bool:
    held = (*_slot(claimed.kind, claimed.source), col(LiveModel.claimed_until) == claimed.until)
    return changed(session, update(LiveModel).where(*held).values(claimed_until=until)) == 1


def _slot(kind: str, source: str) -> tuple[Any, Any]:
    return col(LiveModel.kind) == kind, col(LiveModel.source) == source
