"""Who may: reviewers by password and session cookie, programs by API token with scopes. Nothing is stored in the clear."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from service.db import Database, changed, chunks
from service.errors import Conflict, Invalid, NotFound, NotSignedIn
from service.models import ApiToken, Mention, Reviewer, Scope, SignIn

TOKEN_PREFIX = "tt_"  # noqa: S105 - a prefix, so that scanners recognise a leaked token
LEAST_PASSWORD = 10
HASHER = PasswordHasher()
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
    """Change it and end all of the reviewer's sessions."""
    reviewer = _reviewer(session, name)
    reviewer.password_hash = _hash(password)
    session.add(reviewer)
    session.execute(delete(SignIn).where(col(SignIn.reviewer_id) == reviewer.id))


def deactivate(session: Session, name: str) -> None:
    """Shut the account; what it decided stays."""
    reviewer = _reviewer(session, name)
    reviewer.active = False
    session.add(reviewer)
    session.execute(delete(SignIn).where(col(SignIn.reviewer_id) == reviewer.id))


def sign_in(db: Database, name: str, password: str, now: datetime, lasts: timedelta) -> str:
    """The session's token, for the cookie.

    Raises
    ------
    NotSignedIn
        The name or the password is wrong; it does not say which.
    """
    with db.read() as session:
        found = select(Reviewer).where(col(Reviewer.name) == name, col(Reviewer.active))
        reviewer: Reviewer | None = session.execute(found).scalar_one_or_none()
    try:  # with no session open: it takes a tenth of a second on purpose
        HASHER.verify(reviewer.password_hash if reviewer else _NOBODY, password)
    except (VerificationError, InvalidHashError) as error:
        raise NotSignedIn("name or password is wrong") from error
    if reviewer is None or reviewer.id is None:
        raise NotSignedIn("name or password is wrong")
    token = secrets.token_urlsafe(32)
    with db.write() as session:
        session.execute(delete(SignIn).where(col(SignIn.expires_at) <= now))
        session.add(SignIn(token_hash=_digest(token), reviewer_id=reviewer.id, expires_at=now + lasts))
    return token


def sign_out(session: Session, token: str) -> None:
    session.execute(delete(SignIn).where(col(SignIn.token_hash) == _digest(token)))


def by_cookie(session: Session, token: str, now: datetime) -> Identity | None:
    """The reviewer whose session this is; None where it is over."""
    waiting = select(func.count()).where(col(Mention.reviewer_id) == col(Reviewer.id), col(Mention.read_at).is_(None))
    row = session.execute(
        select(Reviewer, waiting.correlate(Reviewer).scalar_subquery())
        .join(SignIn, col(SignIn.reviewer_id) == col(Reviewer.id))
        .where(col(SignIn.token_hash) == _digest(token), col(SignIn.expires_at) > now, col(Reviewer.active))
    ).one_or_none()
    if row is None:
        return None
    found, unread = row
    scopes = {Scope.review, Scope.admin} if found.is_admin else {Scope.review}
    return Identity(found.name, frozenset(scopes), found.id, by_cookie=True, unread=unread)


def still_signed_in(session: Session, tokens: Collection[str], now: datetime) -> set[str]:
    """Those of the cookies' tokens whose sessions go on."""
    by_hash = {_digest(token): token for token in tokens}
    going_on = (col(SignIn.expires_at) > now, col(Reviewer.active))
    found: set[str] = set()
    for some in chunks(list(by_hash)):
        rows = select(col(SignIn.token_hash)).join(Reviewer, col(Reviewer.id) == col(SignIn.reviewer_id))
        found |= {by_hash[one] for one in session.execute(rows.where(col(SignIn.token_hash).in_(some), *going_on)).scalars()}
    return found


def add_token(session: Session, name: str, scopes: Sequence[Scope], now: datetime, reviewer: str | None = None) -> str:
    """A new API token; this is the only time it can be read.

    Raises
    ------
    Invalid
        No scope is given, or `review` without the reviewer it acts for.
    Conflict
        The name is taken.
    """
    if not scopes:
        raise Invalid(f"scopes: give at least one of {', '.join(Scope)}")
    if Scope.review in scopes and reviewer is None:
        raise Invalid("reviewer: a token with the scope 'review' acts for a reviewer; name one")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    acting = _reviewer(session, reviewer).id if reviewer else None
    session.add(
        ApiToken(name=name, token_hash=_digest(token), scopes=[str(s) for s in scopes], reviewer_id=acting, created_at=now)
    )
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"there is a token '{name}' already") from error
    return token


def revoke_token(session: Session, name: str, now: datetime) -> None:
    revoked = update(ApiToken).where(col(ApiToken.name) == name, col(ApiToken.revoked_at).is_(None)).values(revoked_at=now)
    if changed(session, revoked) == 0:
        raise NotFound(f"there is no valid token '{name}'")


def by_token(session: Session, token: str) -> Identity | None:
    """The program whose token this is; None where it is unknown or revoked, or acts for a reviewer whose account is shut.

    `admin` includes every other scope.
    """
    found = session.execute(
        select(ApiToken)
        .join(Reviewer, col(Reviewer.id) == col(ApiToken.reviewer_id), isouter=True)
        .where(
            col(ApiToken.token_hash) == _digest(token),
            col(ApiToken.revoked_at).is_(None),
            col(ApiToken.reviewer_id).is_(None) | col(Reviewer.active),
        )
    ).scalar_one_or_none()
    if found is None:
        return None
    scopes = frozenset(Scope) if Scope.admin in found.scopes else frozenset(Scope(scope) for scope in found.scopes)
    return Identity(found.name, scopes, found.reviewer_id, by_cookie=False)


def any_reviewer(session: Session) -> bool:
    return session.execute(select(col(Reviewer.id)).limit(1)).first() is not None


def _reviewer(session: Session, name: str) -> Reviewer:
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


def _digest(token: str) -> bytes:
    # Tokens are 256 random bits: a fast hash is enough, nothing can be guessed from it.
    return hashlib.sha256(token.encode()).digest()
