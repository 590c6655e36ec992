from scoring.transcripts import Feedback, Transcript, Turn, split


def make_transcript(*roles: str, rated: int | None = None) -> Transcript:
    turns = tuple(
        Turn(f"t{i}", role, f"{role} {i}", feedback=(Feedback(-1, "thumb"),) if i == rated else ())  # type: ignore[arg-type]
        for i, role in enumerate(roles)
    )
    return Transcript("c", turns)


def test_an_exchange_is_question_answer_and_the_next_user_turn() -> None:
    (first, second) = split(make_transcript("user", "bot", "user", "bot"))

    assert (first.question, first.answer, first.follow_up) == ("user 0", "bot 1", "user 2")
    assert (second.question, second.answer, second.follow_up) == ("user 2", "bot 3", None)
    assert [turn.id for turn in second.history] == ["t0", "t1"]


def test_turns_in_a_row_by_one_side_are_one_contribution_named_by_its_last_bot_turn() -> None:
    (exchange,) = split(make_transcript("user", "user", "bot", "bot"))

    assert exchange.question == "user 0\nuser 1"
    assert exchange.turn_id == "t3"


def test_a_greeting_is_an_exchange_only_if_somebody_reacted_to_it() -> None:
    assert split(make_transcript("bot")) == []
    assert [e.question for e in split(make_transcript("bot", "user", "bot"))] == ["", "user 1"]
    assert len(split(make_transcript("bot", rated=0))) == 1


def test_what_a_human_agent_says_is_no_answer_of_the_bot() -> None:
    (exchange,) = split(make_transcript("user", "bot", "user", "agent", "user"))

    assert exchange.handed_over
    assert exchange.follow_up == "user 2"
