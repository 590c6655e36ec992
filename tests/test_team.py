"""Several people on one item: opinions apart from each other, known items, amending, comments, and what is counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from conftest import NOW, add_reviewer, rows_of
from items import make_item

from service import calibration, claims, conversations, queue, review, undo
from service.claims import Claim
from service.db import Database
from service.errors import Conflict, Forbidden, Invalid
from service.filters import QueueFilter
from service.models import Article, Comment, Exchange, ItemState, KnownItem, NamedQueue, Opinion, ReviewItem, Verdict
from service.models import VerdictLabel as Label
from service.review import Decision
from service.team import agreement, amend, comments, opinions, progress, queues
from service.team.queues import QueueContent

LEASE, GRACE = timedelta(minutes=15), timedelta(seconds=20)
GOOD, WRONG = Decision(Label.good), Decision(Label.wrong, answer="Within 30 days.", intent="returns")


@pytest.fixture
def team(db: Database) -> tuple[int, int, int]:
    """Anna and Ben review; the lead administers."""
    return add_reviewer(db, "anna"), add_reviewer(db, "ben"), add_reviewer(db, "lead", is_admin=True)


def add_queue(db: Database, name: str = "all", **changes: Any) -> None:
    with db.write() as session:
        session.add(NamedQueue(**{"name": name, "reviewers": [], "adjudicators": [], "created_at": NOW, **changes}))


def take(db: Database, reviewer: int, now: datetime = NOW, only: str | None = None) -> Claim | None:
    with db.write() as session:
        return claims.claim_next(session, reviewer, now, LEASE, QueueFilter(queue=only))


def judge(db: Database, reviewer: int, decision: Decision, now: datetime = NOW, only: str | None = None) -> Verdict | Opinion:
    """What the reviewer says of the next item they are served."""
    claim = take(db, reviewer, now, only)
    assert claim is not None
    with db.write() as session:
        return opinions.decide(session, claim.item_id, reviewer, claim.fence, decision, ["folder"], now, GRACE)


# --- opinions -----------------------------------------------------------------------------------------------------


def test_one_review_makes_a_verdict_and_no_opinion(db: Database, team: Sequence[int]) -> None:
    make_item(db)

    judge(db, team[0], WRONG)

    assert [one.label for one in rows_of(db, Verdict)] == ["wrong"]
    assert rows_of(db, Opinion) == []


def test_opinions_that_agree_make_one_verdict_with_the_correction_that_one_of_them_has(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    item_id = make_item(db)
    add_queue(db, reviews=2)

    judge(db, anna, WRONG)
    between = rows_of(db, ReviewItem)[0].state, rows_of(db, Verdict), take(db, anna)
    judge(db, ben, Decision(Label.wrong))

    assert between == (ItemState.open, [], None)
    (verdict,) = rows_of(db, Verdict)
    assert (verdict.item_id, verdict.label, verdict.answer, verdict.intent) == (item_id, "wrong", "Within 30 days.", "returns")
    assert [article.answer for article in rows_of(db, Article)] == ["Within 30 days."]
    assert len(rows_of(db, Opinion)) == 2


@pytest.mark.parametrize(
    "second",
    [GOOD, Decision(Label.wrong, answer="Never."), Decision(Label.wrong, intent="refund")],
    ids=["label", "answer", "intent"],
)
def test_opinions_that_differ_go_to_an_adjudicator_alone(db: Database, team: Sequence[int], second: Decision) -> None:
    anna, ben, lead = team
    carla = add_reviewer(db, "carla")
    add_queue(db, reviews=2)
    item_id = make_item(db)

    judge(db, anna, WRONG)
    judge(db, ben, second)
    served = [take(db, one) for one in (anna, ben, carla)]
    with pytest.raises(Forbidden), db.write() as session:
        claims.claim_item(session, item_id, carla, NOW, LEASE)
    undecided = rows_of(db, Verdict)
    judge(db, lead, WRONG)

    assert served == [None, None, None]
    assert undecided == []
    assert [(one.reviewer_id, one.label) for one in rows_of(db, Verdict)] == [(lead, "wrong")]


def test_a_queue_names_its_adjudicators(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    carla = add_reviewer(db, "carla")
    add_queue(db, reviews=2, adjudicators=[carla])
    make_item(db)

    judge(db, anna, WRONG)
    judge(db, ben, GOOD)

    assert take(db, carla) is not None


def test_the_same_opinion_twice_is_one_and_another_under_the_same_fence_is_refused(db: Database, team: Sequence[int]) -> None:
    add_queue(db, reviews=2)
    make_item(db)
    claim = take(db, team[0])
    assert claim is not None

    for _ in range(2):
        with db.write() as session:
            opinions.decide(session, claim.item_id, team[0], claim.fence, WRONG, [], NOW)
    with pytest.raises(Conflict), db.write() as session:
        opinions.decide(session, claim.item_id, team[0], claim.fence, GOOD, [], NOW)

    assert len(rows_of(db, Opinion)) == 1


def test_an_opinion_can_be_taken_back_while_nobody_else_judges(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    add_queue(db, reviews=2)
    item_id = make_item(db)
    judge(db, anna, WRONG)

    with db.write() as session:
        claim = undo.undo(session, item_id, anna, [], NOW, LEASE, GRACE)
        opinions.decide(session, item_id, anna, claim.fence, GOOD, [], NOW)
    judge(db, ben, GOOD)

    assert [one.label for one in rows_of(db, Verdict)] == ["good"]
    assert [one.withdrawn_at is None for one in rows_of(db, Opinion)] == [False, True, True]


def test_taking_back_the_opinion_that_made_the_verdict_keeps_the_others(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    add_queue(db, reviews=2)
    item_id = make_item(db)
    judge(db, anna, WRONG)
    judge(db, ben, Decision(Label.wrong))

    with db.write() as session:
        claim = undo.undo(session, item_id, ben, ["folder"], NOW, LEASE, GRACE)
    with db.write() as session:
        opinions.decide(session, item_id, ben, claim.fence, GOOD, ["folder"], NOW, GRACE)

    assert rows_of(db, ReviewItem)[0].disputed
    assert [one.withdrawn_at is None for one in rows_of(db, Verdict)] == [False]


def test_an_item_that_is_sent_back_is_judged_anew_by_all(db: Database, team: Sequence[int]) -> None:
    anna, ben, lead = team
    add_queue(db, reviews=2)
    item_id = make_item(db)
    judge(db, anna, WRONG)
    judge(db, ben, Decision(Label.wrong))

    with db.write() as session:
        review.send_back(session, item_id, lead, "look again", ["folder"], NOW)
    judge(db, anna, GOOD)
    judge(db, ben, GOOD)

    assert [(one.label, one.withdrawn_at is None) for one in rows_of(db, Verdict)] == [("wrong", False), ("good", True)]


# --- known items --------------------------------------------------------------------------------------------------


@pytest.fixture
def known(db: Database, team: Sequence[int]) -> int:
    """An item that Anna decided and the lead knows to be right, in a queue where half of what is served is known."""
    item_id = make_item(db)
    judge(db, team[0], WRONG)
    add_queue(db, calibration_share=0.5)
    with db.write() as session:
        calibration.mark(session, item_id, team[2], NOW)
    return item_id


def serve_until_known(db: Database, reviewer: int, known: int) -> Claim:
    for _ in range(30):
        make_item(db)
        claim = take(db, reviewer, only="all")
        assert claim is not None
        if claim.item_id == known:
            return claim
        with db.write() as session:
            opinions.decide(session, claim.item_id, reviewer, claim.fence, GOOD, [], NOW)
    raise AssertionError("no known item was served")


def test_a_known_item_looks_open_to_the_reviewer_who_gets_it_and_nothing_they_say_changes_it(
    db: Database, team: Sequence[int], known: int
) -> None:
    _, ben, _ = team
    claim = serve_until_known(db, ben, known)
    before, verdicts = rows_of(db, ReviewItem, ReviewItem.id == known)[0].model_dump(), len(rows_of(db, Verdict))

    with db.read() as session:
        shown = queue.detail(session, known, ben, NOW)
    with db.write() as session:
        claims.heartbeat(session, known, ben, claim.fence, NOW, LEASE)
        review.save_draft(session, known, ben, {"answer": "x"}, NOW)
        said = opinions.decide(session, known, ben, claim.fence, GOOD, ["folder"], NOW)
    with db.read() as session:
        after = queue.detail(session, known, ben, NOW)
    with db.write() as session:
        review.send_back(session, known, ben, "on second thoughts", ["folder"], NOW)

    assert (shown.item.state, shown.holder, shown.verdicts, shown.item.fence) == (ItemState.open, "ben", [], claim.fence)
    assert isinstance(said, Opinion)
    assert [(verdict.label, name) for verdict, name in after.verdicts] == [("good", "ben")]
    assert rows_of(db, ReviewItem, ReviewItem.id == known)[0].model_dump() == before
    assert len(rows_of(db, Verdict)) == verdicts


def listed(db: Database, reviewer: int) -> dict[str, dict[int, tuple[str | None, tuple[str, str] | None]]]:
    """By list, what the reviewer reads of each item there: who holds it, and its verdict."""
    with db.read() as session:
        counts = queue.counts(session, NOW, reviewer)
        rows = {state: queue.rows(session, NOW, state, reviewer_id=reviewer, limit=100) for state in ItemState}
        assert {state: len(found) for state, found in rows.items()} == {state: getattr(counts, state) for state in ItemState}
        assert counts.held == sum(row.holder is not None for row in rows[ItemState.open])
        verdicts = queue.verdicts_of(session, [row.item.id or 0 for found in rows.values() for row in found], reviewer)
    return {
        state: {row.item.id or 0: (row.holder, verdicts.get(row.item.id or 0) if state == "done" else None) for row in found}
        for state, found in rows.items()
    }


def test_lists_and_counts_show_a_known_item_as_its_reviewer_is_to_see_it(db: Database, team: Sequence[int], known: int) -> None:
    anna, ben, _ = team
    before = listed(db, ben)["done"][known]
    claim = serve_until_known(db, ben, known)
    served = listed(db, ben)
    with db.read() as session:
        conversation = session.get_one(Exchange, session.get_one(ReviewItem, known).exchange_id).conversation_id
        talk = [conversations.told(session, conversation, one).exchanges[0][1] for one in (anna, ben)]
    with db.write() as session:
        claims.release(session, known, ben, claim.fence)
    free = listed(db, ben)
    with db.write() as session:
        again = claims.claim_item(session, known, ben, NOW, LEASE)
        opinions.decide(session, known, ben, again.fence, GOOD, [], NOW)
    answered = listed(db, ben)

    assert before == (None, ("wrong", "anna"))
    assert (served["open"][known], known in served["done"]) == (("ben", None), False)
    assert (free["open"][known], known in free["done"]) == ((None, None), False)
    assert (answered["done"][known], known in answered["open"]) == ((None, ("good", "ben")), False)
    assert listed(db, anna)["done"][known] == (None, ("wrong", "anna"))
    assert [item.state for item in talk if item] == [ItemState.done, ItemState.open]


def test_a_known_item_called_not_reviewable_is_listed_as_such_to_who_said_so(
    db: Database, team: Sequence[int], known: int
) -> None:
    claim = serve_until_known(db, team[1], known)

    with db.write() as session:
        claims.not_reviewable(session, known, team[1], claim.fence, "no question", NOW)

    mine, others = listed(db, team[1]), listed(db, team[0])
    assert (known in mine["not_reviewable"], known in mine["done"]) == (True, False)
    assert (known in others["not_reviewable"], known in others["done"]) == (False, True)


def test_a_known_item_can_be_handed_back_like_any_other(db: Database, team: Sequence[int], known: int) -> None:
    claim = serve_until_known(db, team[1], known)

    with db.write() as session:
        claims.skip(session, known, team[1], claim.fence, NOW)
    with pytest.raises(claims.LeaseLost), db.write() as session:
        claims.heartbeat(session, known, team[1], claim.fence, NOW, LEASE)

    assert rows_of(db, ReviewItem, ReviewItem.id == known)[0].state == ItemState.done


def test_nobody_gets_a_known_item_that_they_decided_or_marked(db: Database, team: Sequence[int], known: int) -> None:
    for reviewer in (team[0], team[2]):
        for _ in range(12):
            make_item(db)
            assert judge(db, reviewer, GOOD, only="all").item_id != known


def test_only_a_decided_item_can_be_known(db: Database, team: Sequence[int]) -> None:
    item_id = make_item(db)

    with pytest.raises(Conflict, match="not decided"), db.write() as session:
        calibration.mark(session, item_id, team[2], NOW)

    assert rows_of(db, KnownItem) == []


# --- amending -----------------------------------------------------------------------------------------------------


def test_a_verdict_is_amended_by_its_reviewer_and_its_history_stays(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    item_id = make_item(db)
    old = judge(db, anna, WRONG)
    assert old.id is not None
    later = NOW + timedelta(days=3)

    with pytest.raises(Forbidden), db.write() as session:
        amend.amend(session, item_id, old.id, ben, GOOD, "no", ["folder"], later)
    for _ in range(2):
        with db.write() as session:
            amend.amend(session, item_id, old.id, anna, GOOD, "I misread it", ["folder"], later)
    with pytest.raises(Conflict), db.write() as session:
        amend.amend(session, item_id, old.id, anna, WRONG, "again", ["folder"], later)

    told = [(one.label, one.withdrawn_reason) for one in rows_of(db, Verdict)]
    assert told == [("wrong", "I misread it"), ("good", None)]
    assert rows_of(db, Article)[0].status != "active"
    assert rows_of(db, ReviewItem)[0].state == ItemState.done


# --- comments -----------------------------------------------------------------------------------------------------


def test_a_comment_is_stored_once_and_found_by_whom_it_names(db: Database, team: Sequence[int]) -> None:
    anna, ben, lead = team
    jo = add_reviewer(db, "jo")
    joanna = add_reviewer(db, "jo anna (returns)")
    item_id = make_item(db)
    text = "@Ben, see this. @jo anna (returns) too; mail me@lead or <b>@anna</b>"

    for _ in range(2):
        with db.write() as session:
            comments.add_comment(session, item_id, anna, text, "form 1", NOW)
    with db.read() as session:
        waiting = {who: comments.unread(session, who) for who in (anna, ben, lead, jo, joanna)}
    with db.write() as session:
        comments.mark_read(session, ben, NOW)
    with pytest.raises(Invalid, match="text"), db.write() as session:
        comments.add_comment(session, item_id, anna, "  ", "form 2", NOW)

    assert waiting == {anna: 0, ben: 1, lead: 0, jo: 0, joanna: 1}
    assert len(rows_of(db, Comment)) == 1
    with db.read() as session:
        assert comments.unread(session, ben) == 0


def test_comments_of_those_who_judged_stay_hidden_from_those_who_are_still_to(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    add_queue(db, reviews=2)
    item_id = make_item(db)
    with db.write() as session:
        comments.add_comment(session, item_id, anna, "clearly wrong", "k", NOW)

    judge(db, anna, WRONG)
    with db.read() as session:
        hidden, own = comments.comments_of(session, item_id, ben), comments.comments_of(session, item_id, anna)
    judge(db, ben, WRONG)
    with db.read() as session:
        shown = comments.comments_of(session, item_id, ben)

    assert (len(hidden), len(own), len(shown)) == (0, 1, 1)


# --- agreement and progress ---------------------------------------------------------------------------------------


def test_the_coefficients_are_those_of_the_published_examples() -> None:
    # Cohen's table of two raters, 20 and 15 of 50 alike on yes and no, 5 and 10 not: kappa 0.4.
    cells = [("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)]
    pairs = [pair for a, b, count in cells for pair in [(a, b)] * count]
    two = [(item, who, label) for item, pair in enumerate(pairs) for who, label in enumerate(pair)]
    # Fleiss (1971) as usually worked through: 10 subjects, 14 raters, 5 categories: kappa 0.210.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    many = [
        (item, rater, label)
        for item, counts in enumerate(table)
        for rater, label in enumerate([str(n) for n, count in enumerate(counts) for _ in range(count)])
    ]

    found = agreement.cohen(two, 0, 1, "both"), agreement.fleiss(many), agreement.alpha(many)

    assert found[0].value == pytest.approx(0.4, abs=1e-9)
    assert found[1].value == pytest.approx(0.210, abs=5e-4)
    # Over the same number of labels an item the two are related exactly: 1 - kappa = (1 - alpha) * n / (n - 1), n labels.
    assert found[1].value == pytest.approx(1 - (1 - (found[2].value or 0)) * 140 / 139, abs=1e-9)


def test_too_little_gives_no_number_but_says_so() -> None:
    few = [(item, who, "good") for item in range(9) for who in (1, 2)]
    alike = [(item, who, "good") for item in range(12) for who in (1, 2)]

    assert agreement.alpha(few).value is None
    assert "Too few" in agreement.alpha(few).sentence
    assert agreement.cohen(alike, 1, 2, "both").value is None
    assert "same label" in agreement.cohen(alike, 1, 2, "both").sentence


def test_progress_counts_each_review_once_and_times_it(db: Database, team: Sequence[int]) -> None:
    anna, ben, _ = team
    add_queue(db, reviews=2, due_hours=24)
    make_item(db)
    for reviewer in (anna, ben):
        claim = take(db, reviewer)
        assert claim is not None
        with db.write() as session:
            opinions.decide(session, claim.item_id, reviewer, claim.fence, WRONG, [], NOW + timedelta(seconds=40))
    late = make_item(db)
    with db.write() as session:
        session.get_one(ReviewItem, late).created_at = NOW - timedelta(days=2)

    with db.read() as session:
        people = {one.name: one for one in progress.person_progress(session, NOW + timedelta(minutes=1))}
        (of_queue,) = progress.queue_progress(session, NOW + timedelta(minutes=1))

    assert [(people[name].decided_day, people[name].seconds) for name in ("anna", "ben", "lead")] == [(1, 40), (1, 40), (0, None)]
    assert (of_queue.open, of_queue.overdue, of_queue.day, dict(of_queue.ages)["1 to 3 days"]) == (1, 1, 2, 1)


# --- queues and assignments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": " "}, "name"), ({"signal": "mood"}, "signal"), ({"least_priority": 2.0}, "least_priority"),
        ({"budget": 0}, "budget"), ({"reviews": 0}, "reviews"), ({"reviews": 2, "reviewers": ("anna",)}, "reviews"),
        ({"calibration_share": 0.9}, "calibration_share"), ({"due_hours": 0.0}, "due_hours"),
    ],
)  # fmt: skip
def test_a_queue_that_cannot_be_is_refused_by_the_name_of_the_field(
    db: Database, team: Sequence[int], change: dict[str, Any], names: str
) -> None:
    with pytest.raises(Invalid, match=f"^{names}:"), db.write() as session:
        queues.save_queue(session, QueueContent(**{"name": "q", **change}), NOW)

    assert rows_of(db, NamedQueue) == []


def test_a_filter_can_be_assigned_up_to_a_number_and_taken_back(db: Database, team: Sequence[int]) -> None:
    _, ben, _ = team
    items = [make_item(db, priority=0.9 - n / 10, source="shop") for n in range(4)]

    with db.write() as session:
        given = queues.assign(session, "anna", NOW, 8, only=QueueFilter(source="shop"), most=3)
        told = queues.holders(session, NOW)
    free = take(db, ben)
    with db.write() as session:
        back = queues.unassign(session, reviewer="anna")

    assert (given, back) == (3, 3)
    assert [(one.item_id, one.reviewer, one.kind) for one in told] == [(item, "anna", "assigned") for item in items[:3]]
    assert free is not None
    assert free.item_id == items[3]
