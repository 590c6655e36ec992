"""API tokens: how programs prove who they are. Only a hash is stored; a token is shown once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from service.auth import USED_EVERY, Identity, digest, is_stale, reviewer_named
from service.db import changed
from service.errors import Conflict, Invalid, NotFound
from service.models import ApiToken, Reviewer, Scope

PREFIX = "tt_"
"""So that scanners recognise a leaked token."""
_MOST_NAME = 80


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed. `used_at` is right to some minutes. `valid`: not revoked, not over, its account not shut."""

    name: str
    scopes: list[str]
    reviewer: str | None
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    valid: bool


def add_token(
    session: Session,
    name: str,
    scopes: Sequence[Scope],
    now: datetime,
    reviewer: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """A new API token; this is the only time it can be read.

    Raises
    ------
    Invalid
        The name is empty or too long, no scope is given, or `review` without the reviewer it acts for; it ends before it begins.
    Conflict
        The name is taken.
    """
    if not name.strip() or len(name) > _MOST_NAME:
        raise Invalid(f"name: give one of at most {_MOST_NAME} characters")
    if not scopes:
        raise Invalid(f"scopes: give at least one of {', '.join(Scope)}")
    if Scope.review in scopes and reviewer is None:
        raise Invalid("reviewer: a token with the scope 'review' acts for a reviewer; name one")
    if expires_at is not None and expires_at <= now:
        raise Invalid("expires: give a time to come")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        name=name,
        token_hash=digest(token),
        scopes=[str(scope) for scope in scopes],
        reviewer_id=reviewer_named(session, reviewer).id if reviewer else None,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"there is a token '{name}' already") from error
    return token


def revoke_token(session: Session, name: str, now: datetime) -> None:
    """Raises NotFound where there is no such token, or it is revoked already."""
    revoked = update(ApiToken).where(col(ApiToken.name) == name, col(ApiToken.revoked_at).is_(None)).values(revoked_at=now)
    if changed(session, revoked) == 0:
        raise NotFound(f"there is no valid token '{name}'")


def by_token(session: Session, token: str, now: datetime) -> Identity | None:
    """The program whose token this is; None where it is unknown, revoked or over, or acts for a reviewer whose account is shut.

    `admin` includes every other scope.
    """
    found = session.execute(
        select(ApiToken)
        .join(Reviewer, col(Reviewer.id) == col(ApiToken.reviewer_id), isouter=True)
        .where(
            col(ApiToken.token_hash) == digest(token),
            col(ApiToken.revoked_at).is_(None),
            col(ApiToken.expires_at).is_(None) | (col(ApiToken.expires_at) > now),
            col(ApiToken.reviewer_id).is_(None) | col(Reviewer.active),
        )
    ).scalar_one_or_none()
    if found is None:
        return None
    scopes = frozenset(Scope) if Scope.admin in found.scopes else frozenset(Scope(scope) for scope in found.scopes)
    return Identity(found.name, scopes, found.reviewer_id, by_cookie=False, note_use=is_stale(found.used_at, now))


def note_use(session: Session, token: str, now: datetime) -> None:
    """The token is in use."""
    stale = col(ApiToken.used_at).is_(None) | (col(ApiToken.used_at) <= now - USED_EVERY)
    session.execute(update(ApiToken).where(col(ApiToken.token_hash) == digest(token), stale).values(used_at=now))


def tokens(session: Session, now: datetime) -> list[Token]:
    """All of them by name; those that are of no use any more too."""
    rows = session.execute(
        select(ApiToken, Reviewer)
        .join(Reviewer, col(Reviewer.id) == col(ApiToken.reviewer_id), isouter=True)
        .order_by(col(ApiToken.name))
    )
    return [
        Token(
            name=one.name,
            scopes=one.scopes,
            reviewer=acts_for.name if acts_for else None,
            created_at=one.created_at,
            used_at=one.used_at,
            expires_at=one.expires_at,
            revoked_at=one.revoked_at,
            valid=one.revoked_at is None
            and (one.expires_at is None or one.expires_at > now)
            and (acts_for is None or acts_for.active),
        )
        for one, acts_for in rows
    ]
