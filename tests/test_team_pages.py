"""The team's pages and API: what reviewers see of each other, and what only the lead may change."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import add_token, rows_of
from fastapi.testclient import TestClient
from items import make_item

from service import auth
from service.app import create_app
from service.db import Database
from service.models import Calibration, Comment, KnownItem, NamedQueue, Opinion, ReviewItem, Scope, Verdict
from service.settings import Settings


def make_queue(lead: TestClient, **changes: Any) -> None:
    answer = lead.post("/team/queues/one", data={"name": "shop", **changes})
    assert answer.status_code == 303, answer.text


def next_item(client: TestClient, queue: str = "") -> tuple[str, str] | None:
    """(item, fence) of what the queue gives; None where it gives nothing."""
    there = client.post("/queue/next", params={"queue": queue} if queue else {}).headers["location"]
    found = re.search(r"/items/(\d+)\?.*fence=(\d+)", there)
    return (found[1], found[2]) if found else None


def decide(client: TestClient, item: tuple[str, str] | None, queue: str = "", **form: str) -> str:
    assert item is not None
    data = {"fence": item[1], "label": "good", **form}
    answer = client.post(f"/items/{item[0]}/decide", params={"queue": queue} if queue else {}, data=data)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_reviewer_stays_in_the_queue_they_chose(clients: dict[str, TestClient], db: Database) -> None:
    first, second = make_item(db, source="shop", priority=0.3), make_item(db, source="shop", priority=0.2)
    make_item(db, source="bank", priority=0.9)
    make_queue(clients["lead"], source="shop")

    shown = clients["anna"].get("/queue?queue=shop").text
    taken = next_item(clients["anna"], "shop")
    there = decide(clients["anna"], taken, "shop")

    assert '<option value="shop" selected>' in shown
    assert shown.count('class="question"') == 2
    assert taken is not None
    assert taken[0] == str(first)
    assert f"/items/{second}?" in there
    assert "queue=shop" in there


def test_a_decision_stays_where_its_queue_is_removed_meanwhile(clients: dict[str, TestClient], db: Database) -> None:
    make_item(db)
    make_queue(clients["lead"])
    taken = next_item(clients["anna"], "shop")
    clients["lead"].post("/team/queues/remove", data={"name": "shop"})

    decide(clients["anna"], taken, "shop")

    assert len(rows_of(db, Verdict)) == 1


def test_a_queue_that_cannot_be_is_shown_again_as_it_was_typed(clients: dict[str, TestClient], db: Database) -> None:
    answer = clients["lead"].post("/team/queues/one", data={"name": "shop", "reviews": "many", "intent": "<b>refund"})
    nobody = clients["lead"].post("/team/queues/one", data={"name": "shop", "reviewers": "zoe"})

    assert answer.status_code == 422
    assert "Reviews: &#39;many&#39; is not a number." in answer.text
    assert 'value="&lt;b&gt;refund"' in answer.text
    assert "there is no reviewer &#39;zoe&#39;" in nobody.text
    assert rows_of(db, NamedQueue) == []


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/team/queues/one", {"name": "mine"}),
        ("/team/assign", {"reviewer": "ben"}),
        ("/items/1/known", {"known": "yes"}),
        ("/items/1/assign", {"reviewer": "ben"}),
    ],
)
def test_only_admins_divide_the_work(clients: dict[str, TestClient], db: Database, path: str, data: dict[str, str]) -> None:
    make_item(db)

    assert clients["anna"].post(path, data=data).status_code == 403
    assert (rows_of(db, NamedQueue), rows_of(db, KnownItem)) == ([], [])


def test_two_judge_apart_and_the_lead_sees_both_where_they_differ(clients: dict[str, TestClient], db: Database) -> None:
    make_queue(clients["lead"], reviews="2")
    make_item(db)

    item = next_item(clients["anna"])
    decide(clients["anna"], item, label="wrong", comment="the fee is 5")
    assert item is not None
    own, hidden = clients["anna"].get(f"/items/{item[0]}").text, clients["ben"].get(f"/items/{item[0]}").text
    decide(clients["ben"], next_item(clients["ben"]), label="good")
    both = clients["lead"].get(f"/items/{item[0]}").text

    assert "the fee is 5" in own
    assert "Your opinion is kept." in own
    assert "the fee is 5" not in hidden
    assert "1 more to come" in hidden
    assert "Disputed:" in both
    assert both.count(' by <span dir="auto">') == 2


def test_a_known_item_is_told_apart_by_nothing(clients: dict[str, TestClient], db: Database) -> None:
    known = make_item(db, priority=0.9)
    make_queue(clients["lead"], calibration_share="0.5")
    decide(clients["anna"], next_item(clients["anna"]), label="wrong")
    ordinary = make_item(db)
    clients["lead"].post(f"/items/{known}/known", data={"known": "yes"})
    with db.write() as session:
        now = datetime.now(UTC)
        lease = {"claimed_at": now, "claimed_until": now.replace(year=now.year + 1)}
        (ben,) = [key for key, name in session.execute(auth.select(auth.Reviewer.id, auth.Reviewer.name)) if name == "ben"]
        session.add(Calibration(item_id=known, reviewer_id=ben, fence=2, **lease))

    taken = next_item(clients["ben"], "shop")
    page = clients["ben"].get(f"/items/{known}").text
    there = decide(clients["ben"], taken, "shop", label="good")
    after = clients["ben"].get(f"/items/{known}").text
    team = clients["ben"].get("/team/agreement").text

    assert taken == (str(known), "2")
    assert 'id="decision-form"' in page
    assert "Wrong</span> by" not in page
    assert f"/items/{ordinary}?" in there
    assert 'Good</span> by <span dir="auto">ben' in after
    assert "anna" not in after.split("</header>")[1].split('id="comment-hint"')[0]
    assert "the same label on 0 of 1 known items" in team
    assert '<td data-label="Items">1</td>' in team
    assert [one.kind for one in rows_of(db, Opinion)] == ["calibration"]


def test_a_mention_is_counted_in_the_header_until_it_is_opened(clients: dict[str, TestClient], db: Database) -> None:
    item_id = make_item(db)
    attack = "@ben <script>alert(1)</script>"

    for _ in range(2):
        clients["anna"].post(f"/items/{item_id}/comments", data={"text": attack, "key": "one form"})
    before = clients["ben"].get("/mentions").text
    there = clients["ben"].post(f"/mentions/{rows_of(db, Comment)[0].id}").headers["location"]
    page = clients["ben"].get(there).text

    assert re.search(r'unread">1<', before)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert '<span class="figure unread" hidden>' in page
    assert clients["anna"].post(f"/mentions/{rows_of(db, Comment)[0].id}").status_code == 404


def test_a_verdict_is_amended_on_a_page_of_its_own(clients: dict[str, TestClient], db: Database) -> None:
    item_id = make_item(db)
    decide(clients["anna"], next_item(clients["anna"]), label="wrong", answer="Within 30 days.")
    form = clients["anna"].get(f"/items/{item_id}/amend").text
    found = re.search(r'name="verdict" value="(\d+)"', form)
    assert found

    data = {"verdict": found[1], "label": "incomplete", "answer": "Within 14 days."}
    refused = clients["anna"].post(f"/items/{item_id}/amend", data=data)
    answers = [clients["anna"].post(f"/items/{item_id}/amend", data={**data, "reason": "it was 14"}) for _ in range(2)]
    page = clients["anna"].get(f"/items/{item_id}").text

    assert clients["ben"].get(f"/items/{item_id}/amend").status_code == 403
    assert "Within 30 days.</textarea>" in form
    assert refused.status_code == 422
    assert "Within 14 days.</textarea>" in refused.text
    assert [answer.status_code for answer in answers] == [303, 303]
    assert [(one.label, one.withdrawn_at is None) for one in rows_of(db, Verdict)] == [("wrong", False), ("incomplete", True)]
    assert "it was 14" in page


def test_the_team_page_shows_what_waits_and_who_has_it(clients: dict[str, TestClient], db: Database) -> None:
    item_id = make_item(db)
    make_queue(clients["lead"], due_hours="1")
    clients["lead"].post(f"/items/{item_id}/assign", data={"reviewer": "anna", "hours": "8"})

    page = clients["ben"].get("/team").text
    nothing = next_item(clients["ben"])
    clients["lead"].post(f"/items/{item_id}/unassign")

    assert re.search(r"Overdue</dt><dd>1</dd>", page)
    assert f"Item {item_id}</a>" in page
    assert nothing is None
    assert next_item(clients["ben"]) is not None


@pytest.mark.parametrize("path", ["/team", "/team/agreement", "/team/queues/one", "/mentions"])
def test_the_pages_need_no_inline_script_or_style(clients: dict[str, TestClient], db: Database, path: str) -> None:
    make_item(db)
    make_queue(clients["lead"])

    page = clients["lead"].get(path)

    assert page.status_code == 200
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", page.text)


def test_the_api_keeps_queues_and_says_what_is_so(settings: Settings, db: Database, clients: dict[str, TestClient]) -> None:
    reviewing = add_token(db, Scope.review, name="reviewing", reviewer="anna")
    leading = add_token(db, Scope.admin, name="leading", reviewer="lead")
    item_id = make_item(db, source="shop")
    api = TestClient(create_app(settings))
    queue = {"name": "shop", "source": "shop", "reviewers": ["anna"], "due_hours": 4}

    made = api.post("/api/v1/team/queues", json=queue, headers=leading)
    again = api.post("/api/v1/team/queues", json=queue, headers=leading)
    api.post("/api/v1/team/queues", json={"name": "other"}, headers=leading)
    renamed = api.put("/api/v1/team/queues/other", json={"name": "shop"}, headers=leading)
    refused = api.post("/api/v1/team/queues", json={"name": "x"}, headers=reviewing)
    wrong = api.put("/api/v1/team/queues/shop", json={**queue, "signal": "mood"}, headers=leading)
    unknown = api.post("/api/v1/items/claim", json={"queue": "nowhere"}, headers=reviewing)
    claimed = api.post("/api/v1/items/claim", json={"queue": "shop"}, headers=reviewing)
    held = api.get("/api/v1/team/holders", headers=reviewing).json()
    found = api.get("/api/v1/team/agreement", params={"queue": "shop"}, headers=reviewing).json()
    told = api.get("/api/v1/team/progress", headers=reviewing).json()
    gone = api.delete("/api/v1/team/queues/shop", headers=leading)

    assert (made.status_code, again.status_code, refused.status_code, wrong.status_code) == (201, 409, 403, 422)
    assert "signal" in wrong.json()["detail"]
    assert (renamed.status_code, renamed.json()["detail"]) == (409, "name: there is a queue 'shop' already")
    assert claimed.json()["item_id"] == item_id
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "queue: there is no queue 'nowhere'")
    assert [(one["item_id"], one["reviewer"], one["kind"]) for one in held] == [(item_id, "anna", "held")]
    assert found["agreement"][0]["value"] is None
    assert [one["name"] for one in told["people"]] == ["anna", "ben", "lead"]
    assert gone.status_code == 204
    assert rows_of(db, ReviewItem)[0].id == item_id
    api.app.state.db.close()  # type: ignore[attr-defined]
