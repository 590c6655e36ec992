"""Searches that reviewers keep under a name, for themselves or for everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, or_, select
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


def save_filter(session: Session, reviewer_id: int, name: str, given: Mapping[str, str], shared: bool, now: datetime) -> None:
    """Keep the search under the name; the reviewer's own filter of that name is replaced.

    Raises
    ------
    Invalid
        The name is missing or too long, a field cannot be read, nothing is asked for, or the reviewer keeps too many.
    """
    called = " ".join(name.split())
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
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["reviewer_id", "name"],
            set_={name: insert.excluded[name] for name in ("query", "shared", "created_at")},
        )
    )


def saved_filters(session: Session, reviewer_id: int) -> list[Saved]:
    """The reviewer's own, then those that others share; by name."""
    rows = session.execute(
        select(SavedFilter, col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(SavedFilter.reviewer_id))
        .where(or_(col(SavedFilter.reviewer_id) == reviewer_id, col(SavedFilter.shared)))
    )
    saved = [Saved(one.id or 0, one.name, one.query, one.shared, one.reviewer_id == reviewer_id, owner) for one, owner in rows]
    return sorted(saved, key=lambda one: (not one.mine, one.name.casefold(), one.id))


def delete_filter(session: Session, filter_id: int, reviewer_id: int) -> None:
    """Raises NotFound where the reviewer has no such filter; others' are not theirs to delete."""
    gone = session.execute(
        delete(SavedFilter)
        .where(col(SavedFilter.id) == filter_id, col(SavedFilter.reviewer_id) == reviewer_id)
        .returning(col(SavedFilter.id))
    ).first()
    if gone is None:
        raise NotFound(f"you have no filter {filter_id}")
