"""The closed loop: how many of a bot's errors do 100 reviews remove?

    python -m benchmarks.closed_loop [--data ../shared/data] [--seeds 5] [--bot NAME] [--json FILE]

A bot answers a stream of questions. After each round of traffic, 100 exchanges are reviewed by whoever knows the right answer,
through the real service: the conversations are imported, scored, picked, claimed and decided over the API, the corrections
become articles, and the bot pulls them from the feed of changes into what it searches. It is then measured on questions
that nobody asked. Triage's own choice stands beside the same reviews spent at random, on what users rated down, and on what
the bot itself was least sure of. A fifth of the users rate; one rating in six is wrong. Nobody writes a follow-up.

"known errors" is a bound, not a queue: the same reviews spent on wrong answers alone, by somebody who knows them beforehand.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import structlog
from fastapi.testclient import TestClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlmodel import col

from benchmarks.closed_loop_bots import Asked, Bot, Memory, Said, World, feedbackqa, intents
from scoring.encoder import SentenceEncoder
from scoring.scorer import Scorer
from service import auth, tokens
from service.app import create_app
from service.db import Database
from service.learn.intents import IntentModels, refit_due
from service.learn.platform import Calibrations, calibrate_due
from service.learn.weights import LiveWeights, refit_weights_due
from service.migrate import upgrade
from service.models import Conversation, Exchange, Scope
from service.rescore import rescore_due
from service.review import learn_example
from service.settings import QueueSettings, Settings, SourceSettings
from service.triage import Triage
from service.vectors import StoredVectors, make_past

BOTS: dict[str, Callable[[Path, int], World]] = {
    "feedbackqa": feedbackqa,
    "clinc150": lambda data, seed: intents(data, "clinc150", seed),
    "banking77": lambda data, seed: intents(data, "banking77", seed),
}
POLICIES = ("random", "thumbs down", "lowest confidence", "triage", "known errors")
RATING = 0.2
RIGHTLY = 5 / 6
"""Share of users who rate, and of ratings that say the truth."""
SIGNALS = ("intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`wrong`: the bot's errors among the unseen questions, before and after each round; `reviews`: made in all."""

    wrong: tuple[float, ...]
    reviews: int
    found: int

    @property
    def removed(self) -> float:
        """Share of the unseen questions that 100 reviews set right, in points."""
        return 100 * (self.wrong[0] - self.wrong[-1]) / self.reviews * 100 if self.reviews else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bot", choices=tuple(BOTS), action="append")
    parser.add_argument("--policy", choices=POLICIES, action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--traffic", type=int, default=600, help="questions a round")
    parser.add_argument("--reviews", type=int, default=100, help="reviews a round")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    if not given.data.is_dir():
        sys.exit(f"no data at {given.data}: name the folder with --data")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    memory = Memory(SentenceEncoder())
    figures: dict[str, dict[str, list[Outcome]]] = {}
    for bot in given.bot or BOTS:
        for seed in range(given.seeds):
            world = BOTS[bot](given.data, seed)
            for policy in given.policy or POLICIES:
                outcome = run(world, policy, seed, memory, given.rounds, given.traffic, given.reviews)
                figures.setdefault(bot, {}).setdefault(policy, []).append(outcome)
                print(bot, seed, policy, [round(w, 4) for w in outcome.wrong], outcome.reviews, outcome.found, flush=True)
    show(figures)
    if given.json:
        told = {
            bot: {
                policy: [{"wrong": o.wrong, "reviews": o.reviews, "found": o.found} for o in some] for policy, some in of.items()
            }
            for bot, of in figures.items()
        }
        given.json.write_text(json.dumps(told, indent=1) + "\n")


def run(world: World, policy: str, seed: int, memory: Memory, rounds: int, traffic: int, reviews: int) -> Outcome:
    """One bot's life under one policy."""
    bot = world.bot(memory)
    wrong = [errors(bot, world.unseen)]
    made = found = 0
    with service(memory, policy, reviews) as desk:
        if policy == "triage":
            desk.seed(world.seeds)
        for number in range(rounds):
            asked = world.traffic[number * traffic : (number + 1) * traffic]
            said = bot.answer(asked)
            right = [one.answer == answer.text for one, answer in zip(asked, said, strict=True)]
            rated = [rating(one, well, seed) for one, well in zip(asked, right, strict=True)]
            names = desk.bring(number, asked, said, rated)
            chosen = [] if policy == "triage" else choose(policy, said, rated, right, reviews, Random(f"{seed} {number}"))
            items = desk.pick(number) if policy == "triage" else [desk.ask_for(names[i]) for i in chosen]
            gold = {one.text: one for one in asked} | {one.text: one for one in world.traffic[: number * traffic]}
            for item in items:
                found += desk.decide(item, gold)
            made += len(items)
            if policy == "triage":
                desk.refit()
            for change in desk.changes():
                bot.learn(change["question"], change["answer"], change["intent"])
            wrong.append(errors(bot, world.unseen))
    return Outcome(tuple(wrong), made, found)


def errors(bot: Bot, unseen: Sequence[Asked]) -> float:
    said = bot.answer(unseen)
    return float(np.mean([one.answer != answer.text for one, answer in zip(unseen, said, strict=True)]))


def rating(asked: Asked, right: bool, seed: int) -> int | None:
    """The user's thumb, the same for the same question and answer in every run of a seed; None from most."""
    rng = Random(hashlib.sha256(f"{seed} {asked.text} {right}".encode()).hexdigest())
    if rng.random() >= RATING:
        return None
    return 1 if right == (rng.random() < RIGHTLY) else -1


def choose(
    policy: str, said: Sequence[Said], rated: Sequence[int | None], right: Sequence[bool], reviews: int, rng: Random
) -> list[int]:
    """The simple queues: indices into this round's traffic."""
    order = rng.sample(range(len(said)), len(said))
    if policy == "thumbs down":
        return [i for i in order if rated[i] == -1][:reviews]
    if policy == "lowest confidence":
        return sorted(order, key=lambda i: said[i].confidence)[:reviews]
    if policy == "known errors":
        return [i for i in order if not right[i]][:reviews]
    return order[:reviews]


class Desk:
    """The service as its users meet it: a platform, a worker, a reviewer, a sync job."""

    def __init__(self, db: Database, client: TestClient, triage: Triage, scorer: Scorer, reviews: int) -> None:
        self._db, self._client, self._triage, self._scorer, self._reviews = db, client, triage, scorer, reviews
        self._cursor: str | None = None
        self._rng = Random(0)
        self._intents, self._platform, self._weights = IntentModels(db, scorer.encoder), Calibrations(db), LiveWeights(db)

    def seed(self, examples: Sequence[tuple[str, str]]) -> None:
        """What the bot was made of, as `triage intents seed` takes it."""
        now = self._now()
        with self._db.write() as session:
            for text, intent in examples:
                learn_example(session, "standard", text, intent, now)
        self.refit()

    def bring(self, number: int, asked: Sequence[Asked], said: Sequence[Said], rated: Sequence[int | None]) -> list[str]:
        """The round's conversations, imported and scored; their names."""
        names = [f"r{number}-{i}" for i in range(len(asked))]
        conversations = []
        for name, one, answer, thumb in zip(names, asked, said, rated, strict=True):
            feedback = [] if thumb is None else [{"rating": thumb, "scale": "thumb"}]
            turns = [
                {"id": "q", "role": "user", "text": one.text, **answer.of_question},
                {"id": "a", "role": "bot", "text": answer.text, "feedback": feedback, **answer.of_answer},
            ]
            conversations.append({"id": name, "closed": True, "turns": turns})
        for start in range(0, len(conversations), 100):
            self._post("/sources/standard/conversations", {"conversations": conversations[start : start + 100]})
        intents, weights = self._intents.current(), self._weights.current()
        while self._triage.score_due(intents, self._now(), 512, self._platform.current(), weights):
            pass
        while rescore_due(self._db, self._scorer, self._scorer.encoder.digest, intents, weights, self._now()):
            pass
        return names

    def refit(self) -> None:
        """What the worker learns between two rounds."""
        refit_due(self._db, self._scorer.encoder, self._now())
        calibrate_due(self._db, self._now())
        refit_weights_due(self._db, self._now())

    def pick(self, number: int) -> list[int]:
        """What acquisition chooses, as the API lists it."""
        while self._triage.pick_due(self._now(), self._rng):
            pass
        found: list[int] = [item["id"] for item in self._get("/items", limit=self._reviews)]
        return found

    def ask_for(self, conversation: str) -> int:
        with self._db.read() as session:
            exchange_id = session.execute(
                select(col(Exchange.id))
                .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
                .where(col(Conversation.external_id) == conversation)
            ).scalar_one()
        item: int = self._post(f"/exchanges/{exchange_id}/review", {"reason": ""})["item_id"]
        return item

    def decide(self, item: int, gold: dict[str, Asked]) -> bool:
        """The reviewer knows the right answer: True where the bot's was wrong."""
        claim = self._post(f"/items/{item}/claim", {})
        shown = self._get(f"/items/{item}")
        right = gold[shown["question"]]
        wrong = shown["answer"] != right.answer
        decision: dict[str, Any] = {"fence": claim["fence"], "label": "wrong" if wrong else "good"}
        if wrong:
            decision |= {"answer": right.answer, "intent": right.intent}
        self._post(f"/items/{item}/decide", decision)
        return wrong

    def changes(self) -> Iterator[dict[str, Any]]:
        """What a sync job reads: each article version once."""
        more = True
        while more:
            page = self._get("/articles/changes", **({"after": self._cursor} if self._cursor else {}), limit=500)
            yield from page["changes"]
            self._cursor, more = page["cursor"], page["more"]

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=1)

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        answer = self._client.post(f"/api/v1{path}", json=content)
        assert answer.is_success, answer.text
        return answer.json()


@contextmanager
def service(memory: Memory, policy: str, reviews: int) -> Iterator[Desk]:
    """A fresh database behind the real application. The simple queues need no signal, so none is measured for them."""
    with tempfile.TemporaryDirectory(prefix="triage-loop-") as folder:
        url = f"sqlite:///{folder}/triage.db"
        upgrade(url)
        queue = QueueSettings(capacity=reviews, review_rate=0.02, urgent_priority=0.0, undo_seconds=0)
        settings = Settings(database_url=url, sources={"standard": SourceSettings(secrets=["whsec_YmVuY2htYXJr"])}, queue=queue)
        db = Database(url)
        with db.write() as session:
            auth.add_reviewer(session, "reviewer", "a password of the benchmark", datetime.now(UTC))
            token = tokens.add_token(
                session, "benchmark", [Scope.ingest, Scope.review, Scope.sync], datetime.now(UTC), "reviewer"
            )
        off = () if policy == "triage" else SIGNALS
        scorer = Scorer(memory, StoredVectors(db), off=off)
        triage = Triage(db, memory, scorer, make_past(db, memory), queue)
        with TestClient(create_app(settings), headers={"Authorization": f"Bearer {token}"}) as client:
            yield Desk(db, client, triage, scorer, reviews)
        db.close()
        shutil.rmtree(folder, ignore_errors=True)


def show(figures: dict[str, dict[str, list[Outcome]]]) -> None:
    table = Table("bot", "queue", "wrong before", "after", "reviews", "found wrong", "removed by 100", title="The closed loop")
    for bot, of in figures.items():
        for policy, outcomes in of.items():
            mean = [
                float(np.mean([value(one) for one in outcomes]))
                for value in (
                    lambda o: o.wrong[0], lambda o: o.wrong[-1], lambda o: o.reviews, lambda o: o.found / max(o.reviews, 1),
                    lambda o: o.removed,
                )
            ]  # fmt: skip
            table.add_row(
                bot, policy, f"{mean[0]:.3f}", f"{mean[1]:.3f}", f"{mean[2]:.0f}", f"{mean[3]:.2f}", f"{mean[4]:.2f} points"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
