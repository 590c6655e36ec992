"""The lead's page, its charts and its files: one truth in all of them, for a part of the exchanges too."""

import csv
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import NOW, add_reviewer, add_token, ingest, make_disliked, make_triage, rows_of, score_all
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import col
from test_cli import triage as run_triage
from test_quality import LATER, judge, make_reviewed

from scoring.encoder import Encoder
from service.app import create_app
from service.articles import Content, save_article
from service.burndown import Burndown, Day, burndown, forecast
from service.charts.draw import CHARTS
from service.claims import claim_item
from service.corrections import corrections
from service.db import Database
from service.errors import Invalid
from service.lead import KEPT_FOR, Numbers, part_of
from service.models import Exchange, Publication, PublicationState, ReviewItem, Scope, VerdictLabel, Watch, Watched
from service.quality import percentage
from service.quality_rows import Part
from service.review import Decision, decide, send_back
from service.settings import Settings
from service.tables import TABLES

HOSTILE = '=1+1<script>alert(1)</script>\x0b & "so"'
PAGE = {"accept": "text/html"}
TODAY = date(2026, 1, 5)  # a Monday, as NOW


@pytest.fixture
def client(db: Database, settings: Settings) -> Iterator[TestClient]:
    add_reviewer(db, "lead")
    headers = add_token(db, Scope.review, name="lead", reviewer="lead")
    with TestClient(create_app(settings), headers=headers) as made:
        yield made


class Tables(HTMLParser):
    """The text of each table's cells, by its caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._within: str | None = None
        self._caption = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "caption":
            self._within, self._caption = "caption", ""
        elif tag == "tr" and self._caption:
            self.found[self._caption].append([])
        elif tag in ("td", "th") and self._caption:
            self._within = "cell"
            self.found[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.found[self._caption] = []
        if tag in ("caption", "td", "th"):
            self._within = None
        if tag == "table":
            self._caption = ""

    def handle_data(self, data: str) -> None:
        if self._within == "caption":
            self._caption += data
        elif self._within == "cell":
            self.found[self._caption][-1][-1] += data


def read_csv(client: TestClient, name: str, **part: str) -> list[dict[str, str]]:
    answer = client.get(f"/lead/{name}.csv?{urlencode(part)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


# --- the page, the API and the files ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [{}, {"channel": "web"}, {"since": "2026-01-05", "until": "2026-01-05"}])
def test_page_api_and_file_say_the_same(db: Database, client: TestClient, hashing: Encoder, part: dict[str, str]) -> None:
    make_reviewed(db, hashing)

    page = Tables(client.get(f"/lead?{urlencode(part)}", headers=PAGE).text).found
    told = client.get(f"/api/v1/quality?{urlencode(part)}").json()

    for title, name, group in (
        ("Failure rate by channel", "channels", "by_channel"),
        ("Failure rate by source", "sources", "by_source"),
        ("Failure rate by week", "weeks", "by_week"),
    ):
        file = read_csv(client, name, **part)
        api = told["numbers"][group]
        shown = page[title][1:]
        assert len(file) == len(api) == len(shown) > 0
        for one, line, cells in zip(api, file, shown, strict=True):
            value = "too few verdicts" if one["value"] is None else percentage(one["value"])
            assert [next(iter(line.values())), line["exchanges"], line["judged"], line["draws"], line["failures"]] == [
                one["name"], *(str(one[count]) for count in ("exchanges", "judged", "draws", "failures"))
            ]  # fmt: skip
            assert [float(line["low"]), float(line["high"])] == pytest.approx([one["low"], one["high"]], abs=1e-6)
            assert (line["value"] == "") == (one["value"] is None)
            assert cells[:4] == [one["name"], value, percentage(one["low"]), percentage(one["high"])]
    exchanges = {"channel": 60}.get(next(iter(part), ""), 80)
    assert told["numbers"]["failure_rate"]["exchanges"] == exchanges
    assert sum(one["exchanges"] for one in told["numbers"]["by_channel"]) == exchanges


def test_the_files_of_signals_queue_and_reviews_saved_say_what_the_api_says(
    db: Database, client: TestClient, hashing: Encoder
) -> None:
    make_reviewed(db, hashing)

    told = client.get("/api/v1/quality").json()

    signals = read_csv(client, "signals")
    assert [(one["signal"], int(one["raised"])) for one in signals] == [
        (one["name"], one["precision"]["exchanges"]) for one in told["numbers"]["signals"]
    ]
    assert [int(day["open"]) for day in read_csv(client, "queue")] == [day["open"] for day in told["queue"]["days"]]
    saved = {line["what"]: line["value"] for line in read_csv(client, "saved")}
    assert saved["reviews made"] == str(told["numbers"]["saved"]["reviews"])
    assert float(saved["saved"]) == pytest.approx(told["numbers"]["saved"]["value"], abs=1e-6)
    assert {line["part"] for line in read_csv(client, "numbers")} >= {"failure_rate", "by_week", "signal_recall", "saved"}


def test_too_few_verdicts_are_words_and_a_wide_interval_never_a_bare_number(
    db: Database, client: TestClient, hashing: Encoder
) -> None:
    make_reviewed(db, hashing, bad=10, good=30, share=0.1)

    page = client.get("/lead", headers=PAGE).text

    row = Tables(page).found["Failure rate by source"][1]
    assert row[:2] == ["standard", "too few verdicts"]
    assert "No source has enough verdicts for a number of its own." in page
    assert read_csv(client, "sources")[0]["value"] == ""
    assert "too few: " in client.get("/lead/sources.svg").text


def test_an_empty_database_says_what_to_do_next(client: TestClient) -> None:
    page = client.get("/lead", headers=PAGE)

    assert page.status_code == 200
    assert "Nothing is scored yet." in page.text
    assert "Let its platform send to /hooks/standard" in page.text
    assert '<img src="/lead' not in page.text
    assert [client.get(f"/lead/{name}.svg").status_code for name in CHARTS] == [404] * len(CHARTS)
    assert [client.get(f"/lead/{name}.csv").status_code for name in TABLES] == [200] * len(TABLES)
    assert client.get("/lead/nothing.csv").status_code == 404


def test_only_reviewers_see_it(db: Database, settings: Settings) -> None:
    syncing = add_token(db, Scope.sync, name="sync")

    paths = ("/lead", "/lead/weeks.svg", "/lead/weeks.csv")
    with TestClient(create_app(settings)) as client:
        answers = [client.get(path, headers=headers).status_code for path in paths for headers in ({}, syncing)]

    assert answers == [401, 403] * 3


def test_a_field_that_does_not_fit_is_named(client: TestClient) -> None:
    wrong = ("weeks=many", "weeks=0", "weeks=4&since=2026-01-01", "since=soon", "since=2026-02-01&until=2026-01-01")

    answers = [client.get(f"/api/v1/quality?{query}") for query in wrong]

    assert [answer.status_code for answer in answers] == [422] * 5
    assert [answer.json()["detail"].split(":")[0] for answer in answers] == ["weeks", "weeks", "weeks", "since", "since"]
    assert "give a day like" in client.get("/lead?since=soon", headers=PAGE).text


def test_weeks_begin_on_their_monday() -> None:
    thursday = TODAY + timedelta(days=3)

    assert part_of(thursday, weeks="1") == Part(since=TODAY)
    assert part_of(thursday, weeks="4") == Part(since=date(2025, 12, 15))
    with pytest.raises(Invalid, match="weeks"):
        part_of(thursday, weeks="1000")


# --- charts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_each_chart_is_a_picture_that_says_its_numbers(
    db: Database, client: TestClient, hashing: Encoder, look: str, size: str
) -> None:
    make_reviewed(db, hashing)
    leave_open(db, 3)
    told = client.get("/api/v1/quality").json()
    channel = max(told["numbers"]["by_channel"], key=lambda one: one["exchanges"])
    expected = {
        "weeks": "Week of 2026-01-05",
        "channels": f"{percentage(channel['value'])} ({percentage(channel['low'])} to {percentage(channel['high'])})",
        "signals": str(told["numbers"]["signals"][4]["precision"]["exchanges"]),
        "saved": f"{told['numbers']['saved']['reviews']:,}",
        "ages": "3",
        "queue": "3 open at its end",
    }

    pictures = {name: client.get(f"/lead/{name}.svg?look={look}&size={size}") for name in expected}

    for name, answer in pictures.items():
        root = ET.fromstring(answer.content)
        said = " ".join([*root.itertext(), *(one.get("aria-label", "") for one in root.iter())])
        assert answer.headers["content-type"] == "image/svg+xml"
        assert expected[name] in said
        assert float(root.get("width", "0")) <= (350 if size == "narrow" else 900)


def test_names_that_people_gave_stay_text(db: Database, client: TestClient, hashing: Encoder) -> None:
    make_reviewed(db, hashing, bad=4, good=8)
    with db.write() as session:
        session.execute(update(Exchange).values(intent=HOSTILE))

    page = client.get("/lead", headers=PAGE).text
    picture = ET.fromstring(client.get("/lead/intents.svg").content)
    (line,) = read_csv(client, "intents")

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not [one for one in picture.iter() if one.tag.endswith("script")]
    assert any("<script>alert(1)</script>\ufffd" in (one.get("aria-label") or "") for one in picture.iter())
    assert line["intent"] == f"'{HOSTILE}"


def test_no_chart_library_is_loaded_before_a_chart_is_asked_for() -> None:
    code = "import sys, service.app, service.routes.lead_pages; print({'altair', 'vl_convert', 'pandas'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


# --- the queue ----------------------------------------------------------------------------------------------------


def leave_open(db: Database, count: int, at: datetime | None = None) -> list[int]:
    """Items of exchanges that nobody reviewed, open since then (now)."""
    left = [one for one in rows_of(db, Exchange) if not one.reviewed][:count]
    assert len(left) == count
    with db.write() as session:
        session.execute(update(Exchange).where(col(Exchange.id).in_([one.id for one in left])).values(reviewed=True))
        items = [
            ReviewItem(
                exchange_id=one.id, state="open", priority=0.5, strategy="by_hand", propensity=1.0, reason="chosen",
                suggestions={}, created_at=at or datetime.now(UTC),
            )
            for one in left
        ]  # fmt: skip
        session.add_all(items)
        session.flush()
        return [item.id or 0 for item in items]


def seen_days(found: Burndown) -> dict[str, tuple[int, int, int, int]]:
    return {day.day: (day.added, day.decided, day.reopened, day.open) for day in found.days}


def test_each_day_tells_what_was_added_decided_reopened_and_left_open(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_disliked(f"q{n} w{n}", id=f"c{n}") for n in range(5)))
    score_all(make_triage(db, hashing, review_rate=0.0))
    reviewer = add_reviewer(db)
    day = timedelta(days=1)
    first, second, _ = leave_open(db, 3, NOW)

    def decide_at(item_id: int, at: datetime) -> None:
        with db.write() as session:
            claim = claim_item(session, item_id, reviewer, at, timedelta(hours=1))
            decide(session, item_id, reviewer, claim.fence, Decision(VerdictLabel.good), [], at)

    decide_at(first, NOW + day)
    decide_at(second, NOW + day)
    with db.write() as session:
        send_back(session, second, reviewer, "look again", [], NOW + 2 * day)
    leave_open(db, 2, NOW + 3 * day)
    with db.read() as session:
        found = burndown(session, NOW + 3 * day + timedelta(hours=1))
        elsewhere = burndown(session, NOW + 3 * day, Part(source="another"))
        one_day = burndown(session, NOW + 3 * day, Part(since=TODAY, until=TODAY))

    days = seen_days(found)
    assert len(days) == 30
    assert [days[f"2026-01-0{n}"] for n in (4, 5, 6, 7, 8)] == [
        (0, 0, 0, 0),
        (3, 0, 0, 3),
        (0, 2, 0, 1),
        (0, 0, 1, 2),
        (2, 0, 0, 4),
    ]
    assert {one.name: one.items for one in found.ages if one.items} == {"less than a day": 2, "3 to 7 days": 2}
    assert (elsewhere.open, sum(one.added for one in elsewhere.days)) == (0, 0)
    assert seen_days(one_day) == {"2026-01-05": (3, 0, 0, 3)}


def days_of(changes: list[tuple[int, int]]) -> list[Day]:
    return [Day(f"2026-01-{n + 1:02}", added, decided, 0, 0, 0) for n, (added, decided) in enumerate(changes)]


def test_a_forecast_is_given_only_where_the_queue_surely_shrinks() -> None:
    steady = forecast(100, days_of([(10, 20), (12, 21)] * 7))
    undecided = forecast(100, days_of([(30, 0), (0, 31)] * 7))
    rarely = forecast(100, days_of([(0, 0)] * 12 + [(0, 40)] * 2))
    nothing = forecast(0, days_of([(0, 5)] * 14))

    assert steady.low is not None
    assert steady.high is not None
    assert steady.low < 100 / 9.5 < steady.high
    assert (undecided.low, rarely.low, nothing.low) == (None, None, None)
    assert "did not clearly shrink" in undecided.sentence
    assert "2 saw decisions" in rarely.sentence
    assert nothing.sentence == "Nothing is open."


# --- corrections --------------------------------------------------------------------------------------------------


def test_a_correction_is_on_its_way_then_unasked_then_worked_or_flagged_again(db: Database, hashing: Encoder) -> None:
    reviewer = make_reviewed(db, hashing, bad=6, good=6)
    (item_id,) = leave_open(db, 1, LATER)
    with db.write() as session:
        claim = claim_item(session, item_id, reviewer, LATER, timedelta(hours=1))
        decision = Decision(VerdictLabel.wrong, answer="The right answer.")
        decide(session, item_id, reviewer, claim.fence, decision, ["folder"], LATER)
        save_article(session, Content("Not by a review?", "No."), ["folder"], LATER, origin="page")
    (publication, _) = rows_of(db, Publication)
    asked = rows_of(db, Exchange)[0].id

    def outcome() -> list[tuple[str, int, int]]:
        with db.read() as session:
            return [(one.outcome, one.asked, one.flagged) for one in corrections(session).made]

    seen = [outcome()]
    with db.write() as session:
        session.execute(update(Publication).values(state=PublicationState.published, published_at=LATER))
        watch = Watch(
            article_version_id=publication.article_version_id, item_id=item_id, source="standard", questions=[], clusters=[],
            published_at=LATER, last_exchange_id=0,
        )  # fmt: skip
        session.add(watch)
    seen.append(outcome())
    with db.write() as session:
        session.execute(update(Exchange).where(col(Exchange.id) == asked).values(priority=0.1))
        session.add(Watched(watch_id=watch.id or 0, exchange_id=asked))
    seen.append(outcome())
    with db.read() as session:
        elsewhere = corrections(session, Part(source="another")).made
        before = corrections(session, Part(until=TODAY - timedelta(days=1))).made

    assert seen[:2] == [[("on its way", 0, 0)], [("not asked again", 0, 0)]]
    assert [(count, name in ("worked", "flagged again")) for name, count, _ in seen[2]] == [(1, True)]
    assert (elsewhere, before) == ([], [])


# --- kept for a moment --------------------------------------------------------------------------------------------


def test_a_page_and_its_charts_share_numbers_and_newer_rows_are_seen_at_once(db: Database, hashing: Encoder) -> None:
    reviewer = make_reviewed(db, hashing)
    (left,) = leave_open(db, 1, LATER)
    numbers = Numbers({}, ["standard"])
    with db.read() as session:
        page = numbers.of(session, LATER, Part())
        again = numbers.of(session, LATER + timedelta(seconds=1), Part())
    (item,) = rows_of(db, ReviewItem, col(ReviewItem.id) == left)

    judge(db, reviewer, item, "wrong")
    with db.read() as session:
        chart = numbers.of(session, LATER + timedelta(seconds=2), Part(), page.state)
        new = numbers.of(session, LATER + timedelta(seconds=2), Part())

    assert page is again is chart
    assert new.quality.failure_rate.judged == page.quality.failure_rate.judged + 1


def test_new_scores_of_old_exchanges_are_seen_within_a_minute(db: Database, hashing: Encoder) -> None:
    make_reviewed(db, hashing)
    numbers = Numbers({}, [])
    with db.read() as session:
        before = numbers.of(session, LATER, Part())
    with db.write() as session:
        session.execute(update(Exchange).values(intent="renamed"))

    with db.read() as session:
        after = numbers.of(session, LATER + KEPT_FOR, Part(), before.state)

    assert [one.name for one in after.quality.by_intent] == ["renamed"]


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_report_writes_csv_and_keeps_to_the_part(sqlite_url: str, tmp_path: Path, hashing: Encoder) -> None:
    db = Database(sqlite_url)
    make_reviewed(db, hashing, bad=3, good=5)
    db.close()

    def told(*words: str) -> Any:
        done = run_triage(tmp_path, "report", *words, TRIAGE_DATABASE_URL=sqlite_url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    weeks = list(csv.DictReader(io.StringIO(told("--format", "csv", "--table", "weeks"), newline="")))
    part = json.loads(told("--format", "json", "--channel", "web"))
    wrong = run_triage(tmp_path, "report", "--since", "soon", TRIAGE_DATABASE_URL=sqlite_url)

    assert [(line["week"], line["exchanges"]) for line in weeks] == [("2026-01-05", "8")]
    assert part["failure_rate"]["exchanges"] == 5
    assert wrong.returncode != 0
    assert "since: give a day like" in wrong.stderr
