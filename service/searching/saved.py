"""Searches that reviewers keep under a name, for themselves or for everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, true
from sqlmodel import Session, col

from service.db import insert_into
from service.errors import Invalid, NotFound
from service.models import Reviewer, SavedFilter
from service.searching.fields import as_fields, read_fields

_MOST_NAME = 80
_MOST_SAVED = 100


@dataclass(frozen=True, slots=True)
class Saved:
    id: int
    name: str
    query: dict[str, str]
    shared: bool
    mine: bool
    owner: str
    created_at: datetime


def save_filter(session: Session, reviewer_id: int, name: str, given: Mapping[str, str], shared: bool, now: datetime) -> int:
    """Keep the search under the name; the reviewer's own filter of that name is replaced. Its id.

    Raises
    ------
    Invalid
        The name is missing or too long, a field cannot be read, nothing is asked for, or the reviewer keeps too many.
    """
    called = " ".join(name.replace("\x00", "").split())
    if not called:
        raise Invalid("name: say what to call the filter")
    if len(called) > _MOST_NAME:
        raise Invalid(f"name: at most {_MOST_NAME} characters")
    query = as_fields(read_fields(given))
    if not query:
        raise Invalid("search for something or choose a filter first: this one would show everything")
    others = select(func.count()).where(col(SavedFilter.reviewer_id) == reviewer_id, col(SavedFilter.name) != called)
    if session.execute(others).scalar_one() >= _MOST_SAVED:
        raise Invalid(f"you keep {_MOST_SAVED} filters already: delete one first")
    insert = insert_into(session, SavedFilter).values(
        reviewer_id=reviewer_id, name=called, query=query, shared=shared, created_at=now
    )
    kept = insert.on_conflict_do_update(
        index_elements=["reviewer_id", "name"],
        set_={name: insert.excluded[name] for name in ("query", "shared", "created_at")},
    )
    filter_id: int = session.execute(kept.returning(col(SavedFilter.id))).scalar_one()
    return filter_id


def saved_filters(session: Session, reviewer_id: int) -> list[Saved]:
    """The reviewer's own, then those that others share; by name."""
    return _saved(session, _visible(reviewer_id), reviewer_id)


def filter_of_id(session: Session, filter_id: int, reviewer_id: int | None) -> Saved:
    """Raises NotFound where there is none that is the reviewer's or shared."""
    found = _saved(session, (col(SavedFilter.id) == filter_id) & _visible(reviewer_id), reviewer_id)
    if not found:
        raise NotFound(f"there is no filter {filter_id} for you")
    return found[0]


def filter_named(session: Session, name: str, owner: str | None = None) -> Saved:
    """The filter of this name, whoever keeps it: for whoever has the database at hand.

    Raises
    ------
    NotFound
        There is none; the message says which there are.
    Invalid
        Several reviewers keep one of this name, and `owner` does not say whose is meant.
    """
    everybodys = _saved(session, true(), None)
    found = [one for one in everybodys if one.name == name and owner in (None, one.owner)]
    if not found:
        others = ", ".join(dict.fromkeys(one.name for one in everybodys if owner in (None, one.owner))) or "none is saved"
        raise NotFound(f"there is no filter '{name}'{f' of {owner}' if owner else ''}; there are: {others}")
    if len(found) > 1:
        raise Invalid(f"several reviewers keep a filter '{name}', say whose: {', '.join(one.owner for one in found)}")
    return found[0]


def over(saved: Saved, given: Mapping[str, str]) -> dict[str, str]:
    """The filter's fields, those given in place of its own."""
    return {**saved.query, **{name: value for name, value in given.items() if value}}


def delete_filter(session: Session, filter_id: int, reviewer_id: int) -> None:
    """Raises NotFound where the reviewer has no such filter; others' are not theirs to delete."""
    gone = session.execute(
        delete(SavedFilter)
        .where(col(SavedFilter.id) == filter_id, col(SavedFilter.reviewer_id) == reviewer_id)
        .returning(col(SavedFilter.id))
    ).first()
    if gone is None:
        raise NotFound(f"you have no filter {filter_id}")


def _visible(reviewer_id: int | None) -> Any:
    return or_(col(SavedFilter.reviewer_id) == reviewer_id, col(SavedFilter.shared))


def _saved(session: Session, which: Any, reviewer_id: int | None) -> list[Saved]:
    owners = select(SavedFilter, col(Reviewer.name)).join(Reviewer, col(Reviewer.id) == col(SavedFilter.reviewer_id))
    saved = [
        Saved(one.id or 0, one.name, one.query, one.shared, one.reviewer_id == reviewer_id, owner, one.created_at)
        for one, owner in session.execute(owners.where(which))
    ]
    return sorted(saved, key=lambda one: (not one.mine, one.name.casefold(), one.id))
