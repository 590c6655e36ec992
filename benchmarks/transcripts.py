"""Public dialogues as conversations in our own format, and what people said of their answers."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """A person's judgement that was withheld from the service: of one answer, or (turn_id None) of the conversation."""

    data: str
    conversation_id: str
    turn_id: str | None
    bad: bool


def load(folder: Path) -> tuple[list[Row], list[Judged]]:
    """Every usable dialogue, and the judgements."""
    conversations: list[Row] = []
    judged: list[Judged] = []
    for build in (_feedbackqa, _ab_redial_turns, _ab_redial_dialogues, _ukp, _dstc11, _rasa):
        for conversation, judgement in build(folder):
            conversations.append(conversation)
            if judgement:
                judged.append(judgement)
    return conversations, judged


def _feedbackqa(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    """A rated answer is one exchange; its label is withheld."""
    for i, row in enumerate(_rows(folder / "relevance/feedbackqa_ratings.jsonl.gz")):
        name = f"feedbackqa-{i}"
        turns = [("user", row["query"]), ("bot", row["passage"])]
        yield _conversation(name, turns), Judged("FeedbackQA", name, "t2", row["label"] == 0)


def _ab_redial_turns(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    for i, row in enumerate(_rows(folder / "satisfaction/ab_redial_turns.jsonl")):
        name = f"ab-redial-turn-{i}"
        turns = [(_role(turn["role"]), turn["text"]) for turn in row["turns"]]
        judgement = Judged("AB-ReDial", name, f"t{row['rated_turn'] + 1}", row["overall_mean"] <= 3)
        yield _conversation(name, turns), judgement


def _ab_redial_dialogues(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    for i, row in enumerate(_rows(folder / "satisfaction/ab_redial_dialogues.jsonl")):
        yield _conversation(f"ab-redial-{i}", [(_role(turn["role"]), turn["text"]) for turn in row["turns"]]), None


def _ukp(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    """Bad where at least half of the annotators marked an error of the system. Who the system is differs by set."""
    systems = {"system", "1_Wizard", "0_Wizard", "p1"}
    for i, row in enumerate(_rows(folder / "feedback/ukp_error_and_reaction.jsonl.gz")):
        turns = row["turns"]
        if len(turns) > 100 and all(len(turn["text"]) <= 1 for turn in turns[:50]):
            continue  # a dialogue that was cut into single characters
        name = f"ukp-{i}"
        spoken = [("bot" if turn["speaker"] in systems else "user", turn["text"]) for turn in turns]
        bad = 2 * row["annotators_marking_error"] >= row["annotators"]
        yield _conversation(name, spoken), Judged("UKP", name, None, bad)


def _dstc11(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    for row in _rows(folder / "relevance/dstc11_track5/queries.jsonl.gz"):
        turns = [(_role(turn["role"]), turn["text"]) for turn in row["turns"]]
        if row.get("reference_response"):
            turns.append(("bot", row["reference_response"]))
        yield _conversation(row["query_id"], turns), None


def _rasa(folder: Path) -> Iterator[tuple[Row, Judged | None]]:
    for tracker in json.loads((folder / "connectors/rasa_tracker_helpdesk_5_conversations.json").read_text()):
        turns: list[Row] = []
        for event in tracker["events"]:
            if event["event"] not in ("user", "bot") or not event.get("text"):
                continue
            turn: Row = {"id": f"t{len(turns) + 1}", "role": event["event"], "text": event["text"]}
            if parsed := event.get("parse_data"):
                turn["intent"] = {**parsed["intent"], "ranking": parsed.get("intent_ranking", [])}
            turns.append(turn)
        yield {"id": f"rasa-{tracker['sender_id']}", "closed": True, "turns": turns}, None


def _conversation(name: str, turns: list[tuple[str, str]]) -> Row:
    return {
        "id": name,
        "closed": True,
        "turns": [{"id": f"t{i}", "role": role, "text": text} for i, (role, text) in enumerate(turns, start=1)],
    }


def _role(role: str) -> str:
    return "bot" if role == "assistant" else role


def _rows(path: Path) -> Iterator[Row]:
    """The file's objects; lines that are broken JSON are passed over."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in content.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
