"""Who may: reviewers by password and session cookie. Neither is stored in the clear. Programs: service/tokens.py."""

import hashlib
import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from service import tries
from service.db import Database, chunks
from service.errors import Conflict, Invalid, NotFound, NotSignedIn
from service.models import Mention, Reviewer, Scope, SignIn

LEAST_PASSWORD = 10
USED_EVERY = timedelta(minutes=5)
"""How exactly it is known when a session or a token was last used: noting each use would make every request a write."""
HASHER = PasswordHasher()
_HASHING = threading.Semaphore(4)
"""Passwords that are looked at together: each takes 64 MiB."""
# Verified where the name is unknown, so that an answer takes as long as for a known one.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$1UkpVak9h7uoQ60dLCYDjw$1nm6I08DTzZuzTsMwrP/01vS6qBr1Voxqi6PC2TpXH8"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and what they may do. A program's token may act for a reviewer."""

    name: str
    scopes: frozenset[Scope]
    reviewer_id: int | None
    by_cookie: bool
    unread: int = 0
    """Mentions that wait for the reviewer."""
    note_use: bool = False
    """The session's or the token's last use was noted longer than USED_EVERY ago."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that goes on. What was not noted before an upgrade is None."""

    reviewer: str
    began_at: datetime | None
    seen_at: datetime | None
    expires_at: datetime
    address: str | None


def add_reviewer(session: Session, name: str, password: str, now: datetime, is_admin: bool = False) -> Reviewer:
    """A new account.

    Raises
    ------
    Invalid
        The name is empty or the password too short.
    Conflict
        The name is taken.
    """
    if not name.strip() or len(name) > 80:
        raise Invalid("name: give one of at most 80 characters")
    reviewer = Reviewer(name=name.strip(), password_hash=_hash(password), is_admin=is_admin, created_at=now)
    session.add(reviewer)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"there is a reviewer '{name}' already") from error
    return reviewer


def set_password(session: Session, name: str, password: str) -> None:
    """Change it and end all of the reviewer's sessions; addresses count as known only once the new one was given there."""
    reviewer = reviewer_named(session, name)
    reviewer.password_hash = _hash(password)
    session.add(reviewer)
    session.execute(delete(SignIn).where(col(SignIn.reviewer_id) == reviewer.id))
    tries.forget_addresses(session, reviewer.id or 0)


def deactivate(session: Session, name: str) -> None:
    """Shut the account; what it decided stays."""
    reviewer = reviewer_named(session, name)
    reviewer.active = False
    session.add(reviewer)
    session.execute(delete(SignIn).where(col(SignIn.reviewer_id) == reviewer.id))


def sign_in(
    db: Database, name: str, password: str, now: datetime, lasts: timedelta, address: str = "", instead_of: str = ""
) -> str:
    """The token of a new session, for the cookie. `instead_of`: the browser's session so far, which ends.

    Raises
    ------
    NotSignedIn
        The name or the password is wrong; it does not say which.
    TooManyTries
        The account or the address has to wait first.
    """
    place = tries.place_of(address)
    with db.read() as session:
        found = select(Reviewer).where(col(Reviewer.name) == name, col(Reviewer.active))
        reviewer: Reviewer | None = session.execute(found).scalar_one_or_none()
    reviewer_id = reviewer.id if reviewer else None
    counted = tries.admit(db, name, reviewer_id, place, now)
    try:  # with no session open: it takes a tenth of a second on purpose
        with _HASHING:
            HASHER.verify(reviewer.password_hash if reviewer else _NOBODY, password)
    except (VerificationError, InvalidHashError) as error:
        tries.failed(reviewer_id, place)
        raise NotSignedIn("name or password is wrong") from error
    if reviewer_id is None:
        tries.failed(reviewer_id, place)
        raise NotSignedIn("name or password is wrong")
    token = secrets.token_urlsafe(32)
    with db.write() as session:
        tries.succeeded(session, counted, reviewer_id, place, now)
        session.execute(delete(SignIn).where(col(SignIn.expires_at) <= now))
        sign_out(session, instead_of)
        began = {"began_at": now, "seen_at": now, "expires_at": now + lasts}
        session.add(SignIn(token_hash=digest(token), reviewer_id=reviewer_id, address=place or None, **began))
    return token


def sign_out(session: Session, token: str) -> None:
    session.execute(delete(SignIn).where(col(SignIn.token_hash) == digest(token)))


def sign_out_everywhere(session: Session, name: str) -> int:
    """End all of the reviewer's sessions; how many there were.

    Raises
    ------
    NotFound
        There is no such reviewer.
    """
    ended = delete(SignIn).where(col(SignIn.reviewer_id) == reviewer_named(session, name).id).returning(col(SignIn.token_hash))
    return len(session.execute(ended).all())


def sessions_of(session: Session, now: datetime, name: str | None = None) -> list[OpenSession]:
    """Sessions that go on, of one reviewer or of all, the latest used first.

    Raises
    ------
    NotFound
        There is no such reviewer.
    """
    rows = (
        select(col(Reviewer.name), col(SignIn.began_at), col(SignIn.seen_at), col(SignIn.expires_at), col(SignIn.address))
        .join(Reviewer, col(Reviewer.id) == col(SignIn.reviewer_id))
        .where(col(SignIn.expires_at) > now)
    )
    if name is not None:
        rows = rows.where(col(Reviewer.id) == reviewer_named(session, name).id)
    found = [OpenSession(*row) for row in session.execute(rows)]
    return sorted(found, key=lambda one: (one.seen_at or one.expires_at, one.reviewer), reverse=True)


def by_cookie(session: Session, token: str, now: datetime) -> Identity | None:
    """The reviewer whose session this is; None where it is over."""
    waiting = select(func.count()).where(col(Mention.reviewer_id) == col(Reviewer.id), col(Mention.read_at).is_(None))
    row = session.execute(
        select(Reviewer, waiting.correlate(Reviewer).scalar_subquery(), col(SignIn.seen_at))
        .join(SignIn, col(SignIn.reviewer_id) == col(Reviewer.id))
        .where(col(SignIn.token_hash) == digest(token), col(SignIn.expires_at) > now, col(Reviewer.active))
    ).one_or_none()
    if row is None:
        return None
    found, unread, seen_at = row
    scopes = {Scope.review, Scope.admin} if found.is_admin else {Scope.review}
    return Identity(found.name, frozenset(scopes), found.id, True, unread, is_stale(seen_at, now))


def note_use(session: Session, token: str, now: datetime) -> None:
    """The session is in use."""
    stale = col(SignIn.seen_at).is_(None) | (col(SignIn.seen_at) <= now - USED_EVERY)
    session.execute(update(SignIn).where(col(SignIn.token_hash) == digest(token), stale).values(seen_at=now))


def is_stale(used_at: datetime | None, now: datetime) -> bool:
    return used_at is None or used_at <= now - USED_EVERY


def still_signed_in(session: Session, tokens: Collection[str], now: datetime) -> set[str]:
    """Those of the cookies' tokens whose sessions go on."""
    by_hash = {digest(token): token for token in tokens}
    going_on = (col(SignIn.expires_at) > now, col(Reviewer.active))
    found: set[str] = set()
    for some in chunks(list(by_hash)):
        rows = select(col(SignIn.token_hash)).join(Reviewer, col(Reviewer.id) == col(SignIn.reviewer_id))
        found |= {by_hash[one] for one in session.execute(rows.where(col(SignIn.token_hash).in_(some), *going_on)).scalars()}
    return found


def name_of(session: Session, reviewer_id: int) -> str:
    return session.get_one(Reviewer, reviewer_id).name


def any_reviewer(session: Session) -> bool:
    return session.execute(select(col(Reviewer.id)).limit(1)).first() is not None


def reviewer_named(session: Session, name: str) -> Reviewer:
    """Raises NotFound where there is no such reviewer."""
    found: Reviewer | None = session.execute(select(Reviewer).where(col(Reviewer.name) == name)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no reviewer '{name}'")
    return found


def _hash(password: str) -> str:
    if len(password) < LEAST_PASSWORD:
        raise Invalid(f"password: at least {LEAST_PASSWORD} characters")
    if len(password) > 1000:
        raise Invalid("password: at most 1000 characters")
    return HASHER.hash(password)


def digest(token: str) -> bytes:
    """What is stored of a cookie's or a program's token."""
    # Tokens are 256 random bits: a fast hash is enough, nothing can be guessed from it.
    return hashlib.sha256(token.encode()).digest()
