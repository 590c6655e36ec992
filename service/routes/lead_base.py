"""The numbers that a request asks for by period, source and channel: the same for pages, charts, files and the API."""

from typing import Annotated

from fastapi import Depends, Query, Request

from service.lead import Lead, Numbers, part_of
from service.quality_rows import Part
from service.routes.access import Now, ReadSession
from service.views.forms import Typed


def _part(now: Now, weeks: Typed = "", since: Typed = "", until: Typed = "", source: Typed = "", channel: Typed = "") -> Part:
    return part_of(now.date(), weeks.strip(), since.strip(), until.strip(), source, channel)


def _lead(
    request: Request,
    session: ReadSession,
    now: Now,
    part: Annotated[Part, Depends(_part)],
    state: Annotated[str, Query(max_length=32)] = "",
) -> Lead:
    numbers: Numbers = request.app.state.numbers
    return numbers.of(session, now, part, state)


LeadOf = Annotated[Lead, Depends(_lead, scope="function")]
