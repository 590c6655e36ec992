"""Tries at signing in: each is counted before the password is looked at, and after some failures the next one has to wait.

The counts are rows, so all web processes share them, and however many tries come at once, only as many as are free pass. An
account's wait is short, for a stranger can bring it about; an address's is longer. Neither holds up who comes from an address
that the account knows: such tries are counted apart.
"""

import hashlib
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from service.db import Database, insert_into
from service.errors import TooManyTries
from service.models import KnownAddress, Reviewer, SignInTry, TryKind

log = structlog.get_logger()
FREE = {TryKind.account: 5, TryKind.address: 20, TryKind.account_at_address: 10}
"""Failures after which there is no wait yet. Many people may share an address, so it has more."""
LONGEST = {
    TryKind.account: timedelta(minutes=5),
    TryKind.address: timedelta(minutes=15),
    TryKind.account_at_address: timedelta(minutes=1),
}
FORGIVEN = timedelta(hours=1)
"""Quiet after which the waits begin anew."""
KEPT = timedelta(days=7)
"""How long a count can be seen after the last try that failed."""
KNOWN_FOR = timedelta(days=30)
_MOST_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Counted:
    """A row as it was before this try."""

    id: int
    kind: TryKind
    failures: int
    free_at: datetime
    tried_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Tries at one account or from one address in the last days, as admins see them. `name` is None where no account has
    the name that was typed; `wrong` failed, `refused` came while they had to wait and were not looked at."""

    kind: TryKind
    name: str | None
    address: str | None
    wrong: int
    refused: int
    tried_at: datetime
    free_at: datetime


def wait_after(kind: TryKind, failures: int) -> timedelta:
    """How long the next try has to wait: a second, then twice as long after each failure, up to the longest."""
    over = failures - FREE[kind]
    if over < 0:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(over, 20)), LONGEST[kind])


def place_of(address: str) -> str:
    """What stands for the address: of IPv6 the first 64 bits, for a household or a server has all that begin with them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_MOST_ADDRESS]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def admit(db: Database, name: str, reviewer_id: int | None, address: str, now: datetime) -> list[Counted]:
    """Count this try as a failure until `succeeded` says otherwise.

    Raises
    ------
    TooManyTries
        The account or the address has to wait; the password must not be looked at.
    """
    account = account_of(name)
    with db.write() as session:
        if _knows(session, reviewer_id, address, now):
            keys = [(TryKind.account_at_address, account, address)]
        else:
            keys = [(TryKind.account, account, ""), (TryKind.address, "", address)]
        rows = [_row(session, *key, now) for key in keys]  # always in this order, so that two tries never lock each other out
        wait = max((row.free_at - now for row in rows), default=timedelta(0))
        if wait <= timedelta(0):
            return [_count(session, row, now) for row in rows]
        held = [row.id for row in rows if row.free_at > now]
        told = update(SignInTry).where(col(SignInTry.id).in_(held))
        session.execute(told.values(refused=col(SignInTry.refused) + 1, tried_at=now))
    seconds = math.ceil(wait.total_seconds())
    log.warning("sign_in_refused", reason="too_many", reviewer_id=reviewer_id, address=address, wait_seconds=seconds)
    raise TooManyTries(seconds)


def failed(reviewer_id: int | None, address: str) -> None:
    """Say so in the log. What was typed as a name stays out of it: now and then it is a password."""
    log.warning("sign_in_refused", reason="wrong", reviewer_id=reviewer_id, address=address)


def succeeded(session: Session, counted: Sequence[Counted], reviewer_id: int, address: str, now: datetime) -> None:
    """The password was right: the account's failures are forgiven, this try does not count against the address, and the
    account knows the address from now on."""
    # First what is old: it may be locked by a try that waits for a row of this one.
    session.execute(delete(SignInTry).where(col(SignInTry.tried_at) <= now - KEPT))
    session.execute(delete(KnownAddress).where(col(KnownAddress.last_at) <= now - KNOWN_FOR))
    for one in counted:
        mine = update(SignInTry).where(col(SignInTry.id) == one.id)
        if one.kind != TryKind.address:
            session.execute(mine.values(failures=0, free_at=now, tried_at=one.tried_at, wrong=col(SignInTry.wrong) - 1))
            continue
        less = {"failures": col(SignInTry.failures) - 1, "wrong": col(SignInTry.wrong) - 1}
        session.execute(mine.where(col(SignInTry.failures) > 0).values(less))
        session.execute(mine.where(col(SignInTry.failures) == one.failures).values(free_at=one.free_at, tried_at=one.tried_at))
    insert = insert_into(session, KnownAddress).values(reviewer_id=reviewer_id, address=address, last_at=now)
    session.execute(insert.on_conflict_do_update(index_elements=["reviewer_id", "address"], set_={"last_at": now}))


def forget_addresses(session: Session, reviewer_id: int) -> None:
    """The account knows no address any more."""
    session.execute(delete(KnownAddress).where(col(KnownAddress.reviewer_id) == reviewer_id))


def refused(session: Session, now: datetime, limit: int = 100) -> list[Refused]:
    """Accounts and addresses with tries that failed in the last days, the latest first."""
    names = {account_of(name): name for name in session.execute(select(col(Reviewer.name))).scalars()}
    rows = session.execute(
        select(SignInTry)
        .where(col(SignInTry.tried_at) > now - KEPT, (col(SignInTry.wrong) > 0) | (col(SignInTry.refused) > 0))
        .order_by(col(SignInTry.tried_at).desc(), col(SignInTry.id))
        .limit(limit)
    ).scalars()
    return [
        Refused(TryKind(row.kind), names.get(row.account), row.address or None, row.wrong, row.refused, row.tried_at, row.free_at)
        for row in rows
    ]


def account_of(name: str) -> str:
    """What stands for a name that was typed. So short that many names share it: nobody can tell from it what was typed,
    which now and then is a password."""
    return hashlib.blake2b(name.strip().encode(), digest_size=4).hexdigest()


def _knows(session: Session, reviewer_id: int | None, address: str, now: datetime) -> bool:
    known = select(col(KnownAddress.id)).where(
        col(KnownAddress.reviewer_id) == (reviewer_id or 0),
        col(KnownAddress.address) == address,
        col(KnownAddress.last_at) > now - KNOWN_FOR,
    )
    return session.execute(known).first() is not None


def _row(session: Session, kind: TryKind, account: str, address: str, now: datetime) -> Any:
    """The row, held until the transaction ends."""
    fresh = {"failures": 0, "wrong": 0, "refused": 0, "free_at": now, "tried_at": now}
    insert = insert_into(session, SignInTry).values(kind=kind, account=account, address=address, **fresh)
    session.execute(insert.on_conflict_do_nothing())
    mine = (col(SignInTry.kind) == kind, col(SignInTry.account) == account, col(SignInTry.address) == address)
    return session.execute(select(SignInTry).where(*mine).with_for_update()).scalar_one()


def _count(session: Session, row: Any, now: datetime) -> Counted:
    kind = TryKind(row.kind)
    before = Counted(row.id, kind, 0 if now - row.tried_at >= FORGIVEN else row.failures, row.free_at, row.tried_at)
    failures = before.failures + 1
    session.execute(
        update(SignInTry)
        .where(col(SignInTry.id) == row.id)
        .values(failures=failures, wrong=row.wrong + 1, tried_at=now, free_at=now + wait_after(kind, failures))
    )
    return before
