"""What each platform's records tell: payloads in its own shape, with the traps that it is known for."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import Reject
from connectors.events import ConversationClosed, Event, FeedbackGiven, Ignored, Turn, TurnAdded
from connectors.pulls.dialogflow import parse_conversation
from connectors.pulls.langfuse_records import parse_record
from connectors.pulls.lex import Lex, LexOptions
from connectors.pulls.rasa import parse_event, parse_tracker
from connectors.pulls.voiceflow import Voiceflow, VoiceflowOptions
from scoring.platform_scores import is_fallback

PAYLOADS = Path(__file__).parent / "payloads"
SHARED = Path(__file__).parents[2] / "shared" / "data" / "connectors"
needs_samples = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the platforms' samples in ../shared/data/connectors")


def turns(events: list[Event]) -> list[Turn]:
    return [event.turn for event in events if isinstance(event, TurnAdded)]


def ratings(events: list[Event]) -> dict[str | None, tuple[float | None, str | None, str | None]]:
    return {
        e.feedback.id: (e.feedback.rating, e.feedback.scale, e.feedback.comment) for e in events if isinstance(e, FeedbackGiven)
    }


def changed(payload: Any, **fields: Any) -> bytes:
    return json.dumps({**payload, **fields}).encode()


# --- Rasa ---------------------------------------------------------------------------------------------------------


def rasa() -> list[Event]:
    return parse_tracker((PAYLOADS / "rasa/tracker.json").read_bytes())


def test_a_rasa_tracker_gives_what_was_said_in_its_order() -> None:
    found = [(turn.role, turn.text) for turn in turns(rasa())]

    assert found == [
        ("user", "Where is my parcel?"),
        ("bot", "Which number does it have?"),
        ("user", "the blue one"),
        ("bot", "Sorry, I did not get that."),
        ("user", "/restart"),
        ("user", "send 20 euros to Ann"),
        ("bot", "Shall I send 20 euros?"),
        ("agent", "Hello, Kim here."),
    ]
    assert {event.conversation_id for event in rasa() if isinstance(event, TurnAdded)} == {"u-77"}


def test_rasas_intent_ranking_and_action_are_kept_with_their_scale() -> None:
    asked, answered = turns(rasa())[:2]

    assert asked.intent is not None
    assert (asked.intent.name, asked.intent.confidence, asked.intent.scale) == ("track_parcel", 0.83, "probability")
    assert [(one.name, one.confidence) for one in asked.intent.ranking] == [("track_parcel", 0.83), ("return_parcel", 0.11)]
    assert answered.extras == {"action": "utter_ask_number", "policy": "policy_1_MemoizationPolicy", "buttons": ["I do not know"]}


def test_rasas_core_fallback_is_the_intent_of_what_was_not_understood() -> None:
    asked = turns(rasa())[2]

    assert asked.intent is not None
    assert asked.intent.name is not None
    assert is_fallback(asked.intent.name)
    assert [one.name for one in asked.intent.ranking] == ["track_parcel", "greet"]
    assert asked.intent.extras == {"predicted": "track_parcel"}


def test_rasas_commands_take_the_place_of_an_intent() -> None:
    asked = turns(rasa())[5]

    assert asked.intent is not None
    assert (asked.intent.name, asked.intent.confidence) == ("start flow transfer_money", None)


def test_without_a_message_id_the_same_rasa_event_always_has_the_same_id() -> None:
    by_tracker = {turn.text: turn.id for turn in turns(rasa())}
    lines = (PAYLOADS / "rasa/broker.jsonl").read_bytes().splitlines()
    by_broker = {turn.text: turn.id for line in lines for turn in turns(parse_event(line))}

    assert by_tracker == by_broker
    assert by_tracker["Where is my parcel?"] == "m-1"
    assert len(set(by_tracker.values())) == len(by_tracker)


def test_rasa_events_that_tell_nothing_may_hold_anything() -> None:
    strange = {"event": "slot", "timestamp": "soon", "name": ["a", "list"], "confidence": {}}
    tracker = json.loads((PAYLOADS / "rasa/tracker.json").read_text())
    tracker["events"].insert(3, strange)

    assert parse_tracker(json.dumps(tracker).encode()) == rasa()
    assert parse_event(json.dumps(strange).encode()) == []


@needs_samples
def test_real_rasa_trackers_are_read() -> None:
    trackers = json.loads((SHARED / "rasa_tracker_helpdesk_5_conversations.json").read_text())
    moodbot = (SHARED / "rasa_http_api_tracker_moodbot.json").read_bytes()

    found = [turns(parse_tracker(json.dumps(tracker).encode())) for tracker in trackers]

    said = [
        sum(event["event"] in ("user", "bot") and bool(event.get("text")) for event in tracker["events"]) for tracker in trackers
    ]
    assert [len(one) for one in found] == said
    assert sum(turn.intent is not None and len(turn.intent.ranking) == 10 for one in found for turn in one) == 28
    assert sum(turn.intent is not None and turn.intent.name == "action_default_fallback" for one in found for turn in one) >= 1
    assert [turn.text for turn in turns(parse_tracker(moodbot))] == ["/greet", "/mood_great"]


# --- Dialogflow CX ------------------------------------------------------------------------------------------------


def dialogflow() -> list[Event]:
    return parse_conversation((PAYLOADS / "dialogflow_cx/conversation.json").read_bytes())


def test_a_dialogflow_conversation_gives_its_interactions_by_time() -> None:
    found = [(turn.id, turn.role, turn.text) for turn in turns(dialogflow())]

    assert found == [
        ("r-1-user", "user", "When do you open?"),
        ("r-1-bot", "bot", "We open at nine."),
        ("r-2-user", "user", "and on Sundays?"),
        ("r-2-bot", "bot", "We are closed on Sundays."),
        ("r-3-user", "user", "qwertz"),
        ("r-3-bot", "bot", "I did not catch that."),
    ]
    assert {event.conversation_id for event in dialogflow() if not isinstance(event, Ignored)} == {"conv-1"}
    assert isinstance(dialogflow()[-1], ConversationClosed)


def test_dialogflows_no_match_is_a_fallback_beside_the_intent_that_was_missed() -> None:
    asked = turns(dialogflow())[4]

    assert asked.intent is not None
    assert asked.intent.name is not None
    assert is_fallback(asked.intent.name)
    assert [(one.name, one.confidence) for one in asked.intent.ranking] == [("billing", 0.62)]


def test_dialogflows_snippets_are_the_retrieval_and_grounding_words_a_scale_of_their_own() -> None:
    answered = turns(dialogflow())[3]

    assert answered.retrieval is not None
    assert [(one.title, one.rerank_score, one.rerank_scale) for one in answered.retrieval] == [
        ("Hours", 0.3, "dialogflow grounding"),
        ("Jobs", None, None),
    ]
    assert answered.extras == {"grounding": {"decision": "ACCEPTED_BY_GROUNDING", "score": "LOW"}, "handed_over": True}


def test_dialogflows_answer_feedback_is_the_users_thumb() -> None:
    assert ratings(dialogflow()) == {"r-1-bot-rating": (-1.0, "thumb", "OUTDATED; you open at ten")}


# --- Lex ----------------------------------------------------------------------------------------------------------


def lex(log: bytes) -> list[Event]:
    return Lex(LexOptions(path=Path("unused")), None).parse(log)  # type: ignore[arg-type]  # parsing asks nobody


def lex_logs() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PAYLOADS / "lex/logs.jsonl").read_text().splitlines()]


def test_a_lex_log_gives_the_words_and_all_messages_as_one_answer() -> None:
    asked, answered = turns(lex(json.dumps(lex_logs()[0]).encode()))

    assert (asked.id, asked.text) == ("req-1-user", "I want shoes")
    assert answered.text == "Which size?\n\nSay a number.\n\nSizes\nsmall\nlarge"
    assert asked.at == datetime(2026, 1, 5, 9, 0, 1, 382_000, tzinfo=UTC)
    assert answered.at is not None
    assert answered.at > asked.at
    assert turns(lex(json.dumps(lex_logs()[1]).encode()))[1].text == "Ordered."


@pytest.mark.parametrize("sent", ["0.63", 0.63, {"score": 0.63}, {"score": "0.63"}])
def test_lex_confidence_is_read_in_every_form(sent: Any) -> None:
    log = lex_logs()[0]
    log["interpretations"][0]["nluConfidence"] = sent

    asked = turns(lex(json.dumps(log).encode()))[0]

    assert asked.intent is not None
    assert (asked.intent.name, asked.intent.confidence, asked.intent.scale) == ("BuyShoes", 0.63, "probability")
    assert [one.name for one in asked.intent.ranking] == ["BuyShoes", "ReturnShoes", "FallbackIntent"]
    assert asked.intent.ranking[2].confidence is None


def test_what_lex_missed_is_a_fallback() -> None:
    asked = turns(lex(json.dumps(lex_logs()[2]).encode()))[0]

    assert asked.intent is not None
    assert (asked.intent.name, asked.intent.confidence) == ("FallbackIntent", None)
    assert [(one.name, one.confidence) for one in asked.intent.ranking] == [("BuyShoes", 0.12)]


def test_a_lex_log_of_2022_has_no_messages_and_none_are_made_up() -> None:
    assert [turn.role for turn in turns(lex(json.dumps(lex_logs()[3]).encode()))] == ["user"]


def test_lex_sentiment_is_kept_beside_the_words() -> None:
    asked = turns(lex(json.dumps(lex_logs()[1]).encode()))[0]

    assert asked.extras["sentiment"]["sentiment"] == "NEUTRAL"


@needs_samples
def test_a_real_lex_event_of_a_function_is_read_as_a_log() -> None:
    asked = turns(lex((SHARED / "lexv2_fulfillment_event.json").read_bytes()))[0]

    assert asked.text == "I want to check my balance"
    assert asked.intent is not None
    assert (asked.intent.name, asked.intent.confidence) == ("CheckBalance", 0.95)


# --- Voiceflow ----------------------------------------------------------------------------------------------------


def voiceflow() -> list[Event]:
    reader = Voiceflow(VoiceflowOptions(project="p", api_key="k"), None)  # type: ignore[arg-type]
    return reader.parse((PAYLOADS / "voiceflow/transcript.json").read_bytes())


def test_a_voiceflow_transcript_gives_texts_choices_and_presses() -> None:
    assert [(turn.role, turn.text) for turn in turns(voiceflow())] == [
        ("bot", "Hi! How can I help?"),
        ("bot", "[Delivery]\n[Returns]"),
        ("user", "Delivery"),
        ("bot", "What about it?"),
        ("user", "how long does it take"),
        ("bot", "Two to four days."),
        ("user", "that is too long"),
    ]
    assert isinstance(voiceflow()[-1], ConversationClosed)


def test_voiceflows_chunks_are_the_next_answers_retrieval() -> None:
    found = [turn.retrieval for turn in turns(voiceflow()) if turn.retrieval is not None]

    assert [[(one.id, one.title, one.score, one.scale) for one in passages] for passages in found] == [
        [("ch-1", "Delivery", 0.71, "cosine"), ("d-2", "https://example.com/x", 0.4, "cosine")]
    ]


def test_voiceflows_evaluations_are_feedback_on_scales_of_their_names() -> None:
    assert ratings(voiceflow()) == {
        "evaluation-ev-1": (-1.0, "thumb", "asked twice"),
        "evaluation-ev-2": (2.0, "csat", None),
        "evaluation-ev-3": (None, None, "delivery"),
        "evaluation-ev-4": (7.0, "voiceflow Tone", None),
    }


# --- Langfuse -----------------------------------------------------------------------------------------------------


def test_a_langfuse_trace_is_an_exchange_of_its_session_with_the_retrievers_passages() -> None:
    trace = json.loads((PAYLOADS / "langfuse/trace.json").read_text())

    events = parse_record(json.dumps({"trace": trace}).encode(), {})

    asked, answered = turns(events)
    assert {event.conversation_id for event in events if isinstance(event, TurnAdded)} == {"se-1"}
    assert (asked.id, asked.text) == ("tr-1-user", "Do you ship to Malta?")
    assert (answered.id, answered.text) == ("tr-1-bot", "Yes, we do.")
    assert answered.retrieval is not None
    assert [(one.id, one.text, one.score) for one in answered.retrieval] == [
        ("kb-7", "We ship to all of Europe.", 0.61),
        (None, "Malta is an island.", None),
    ]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("hi", "hi"),
        ({"question": "hi"}, "hi"),
        ('{"input": {"text": "hi"}}', "hi"),
        ([{"role": "user", "content": "before"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}], "hi"),
        ({"messages": [{"role": "human", "content": "hi"}]}, "hi"),
        ("{not json", "{not json"),
    ],
)
def test_langfuse_inputs_of_many_shapes_give_the_users_words(sent: Any, text: str) -> None:
    body = changed({}, trace={"id": "t", "input": sent, "output": "yes"})

    assert turns(parse_record(body, {}))[0].text == text


def test_langfuse_scores_of_every_type_are_feedback() -> None:
    scores = json.loads((PAYLOADS / "langfuse/scores.json").read_text())["data"]
    bodies = [json.dumps({"score": score, "session": "se-1"}).encode() for score in scores]

    events = [event for body in bodies for event in parse_record(body, {"fluency": "unit"})]

    assert ratings(events) == {
        "sc-1": (0.0, "thumb", "you do not"),
        "sc-2": (1.0, "thumb", None),
        "sc-3": (-1.0, "thumb", None),
        "sc-4": (None, None, "shipping"),
        "sc-5": (0.7, "unit", None),
        "sc-6": (2.0, "csat", None),
        "sc-7": (0.1, "langfuse toxicity", None),
    }
    assert {(e.conversation_id, e.turn_id) for e in events if isinstance(e, FeedbackGiven)} == {
        ("se-1", "tr-1-bot"),
        ("se-1", None),
    }
    assert isinstance(events[-1], Ignored)


def test_a_langfuse_v3_score_names_its_trace_in_its_subject() -> None:
    score = {"id": "s", "name": "ok", "dataType": "BOOLEAN", "value": False, "subject": {"kind": "trace", "id": "tr-1"}}

    events = parse_record(changed({}, score=score), {})

    assert [(e.conversation_id, e.turn_id, e.feedback.rating) for e in events if isinstance(e, FeedbackGiven)] == [
        ("tr-1", "tr-1-bot", -1.0)
    ]


# --- all ----------------------------------------------------------------------------------------------------------


def test_what_is_not_the_platforms_shape_is_told_by_its_field_and_without_its_words() -> None:
    for parse, body, field in (
        (parse_tracker, b'{"sender_id": "u", "events": [{"event": "user", "timestamp": "secret words"}]}', "events.0.timestamp"),
        (parse_conversation, b'{"name": ["secret words"]}', "name"),
        (lex, b'{"sessionId": "s", "messages": "secret words"}', "messages"),
        (parse_event, b'{"event": "user", "text": "secret words", "timestamp": 1}', "sender_id"),
    ):
        with pytest.raises(Reject) as told:
            parse(body)
        assert field in told.value.reason
        assert "secret words" not in told.value.reason
