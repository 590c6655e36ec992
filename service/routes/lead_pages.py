"""The lead's page: how often the bot fails, what signals, queue and corrections are worth; its charts and its files."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from service.charts.draw import draw
from service.charts.paper import Look, Size
from service.routes.lead_base import LeadOf
from service.routes.page_base import FOR_REVIEWERS, templates
from service.tables import as_csv, table
from service.views.lead import finding, lead_shown

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/lead", dependencies=FOR_REVIEWERS)
def lead_page(request: Request, lead: LeadOf) -> Response:
    asked = {name: request.query_params.get(name, "").strip() for name in ("weeks", "since", "until", "source", "channel")}
    return templates.TemplateResponse(request, "lead.html", lead_shown(lead, asked))


@router.get("/lead/{name}.svg", dependencies=FOR_REVIEWERS)
def chart(name: str, lead: LeadOf, look: Look = "light", size: Size = "wide") -> Response:
    drawn = draw(name, lead, look, size, finding(name, lead))
    # The address names the state that it shows: as long as the page that shows it is kept, it stays the same.
    return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


@router.get("/lead/{name}.csv", dependencies=FOR_REVIEWERS)
def file(name: str, lead: LeadOf) -> Response:
    told = table(name, lead)
    named = {"Content-Disposition": f'attachment; filename="{told.name}.csv"'}
    return Response(as_csv(told).encode(), media_type="text/csv", headers=named)
