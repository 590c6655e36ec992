"""What redaction takes out, what it leaves, and that nobody can make it slow."""

import time
from typing import Any

import pytest

from service.privacy import make_redact, redact_all

redact = make_redact(True, ["US", "GB", "DE"])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("write to eve.adams+shop@mail.example.co.uk please", "write to [email] please"),
        ("(eve@example.org)", "([email])"),
        ("call (202) 555-0147 today", "call [phone] today"),
        ("call 202-555-0147", "call [phone]"),
        ("call 020 7946 0958", "call [phone]"),
        ("Tel. 030 901820", "Tel. [phone]"),
        ("ring +33 1 42 68 53 00, or +81 3-1234-5678", "ring [phone], or [phone]"),
        ("card 4111 1111 1111 1111 please", "card [card] please"),
        ("card 5500-0000-0000-0004", "card [card]"),
        ("378282246310005", "[card]"),
        ("my password is hunter2secret", "my [token]"),
        ("API key: 8f14e45fceea167a", "[token]"),
        ("Authorization: Bearer abcdefghijklmnop.qrstuv", "Authorization: [token]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "[token]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[token]"),
        ("sk-proj-abcdefghijklmnop1234", "[token]"),
        ("AKIAIOSFODNN7EXAMPLE", "[token]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[token]"),
    ],
)
def test_personal_data_and_secrets_are_replaced(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "order 100-2345-6789 from 2026-01-05",
        "order 4111111111111112",
        "at 09:30 on 05.01.2026, or 2026-01-05T09:30:00Z",
        "it costs 1,299.00 or 1.299,00",
        "version 10.2.3 of 192.168.100.200",
        "the 3 for 2 offer until 31/12/2026",
        "is a password needed?",
        "the key is under the mat",
        "@support what is new?",
        "",
        "🙈 שלום",
    ],
)
def test_order_numbers_dates_and_times_stay(said: str) -> None:
    assert redact(said) == said


def test_redacting_what_is_redacted_changes_nothing() -> None:
    once = redact("eve@example.org, +33 1 42 68 53 00, 4111 1111 1111 1111, ghp_abcdefghijklmnopqrstuvwxyz0123456789")

    assert redact(once) == once == "[email], [phone], [card], [token]"


def test_at_any_depth_all_strings_are_redacted_but_identifiers_and_times() -> None:
    told: dict[str, Any] = {
        "id": "2025550147",
        "at": "2026-01-05T09:00:00Z",
        "user_id": "4111111111111111",
        "turns": [{"text": "eve@example.org", "deep": {"list": ["+33 1 42 68 53 00", 7, None, True]}}],
        "eve@example.org": 1,
    }

    assert redact_all(told, redact) == {
        "id": "2025550147",
        "at": "2026-01-05T09:00:00Z",
        "user_id": "4111111111111111",
        "turns": [{"text": "[email]", "deep": {"list": ["[phone]", 7, None, True]}}],
        "[email]": 1,
    }


def test_redaction_can_be_switched_off() -> None:
    assert make_redact(False, ["US"])("eve@example.org") == "eve@example.org"


def test_without_regions_only_numbers_with_a_country_code_are_known() -> None:
    international = make_redact(True, [])

    assert international("+1 202-555-0147 or 202-555-0147") == "[phone] or 202-555-0147"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a@",
        "a.",
        "a@a.a",
        "a@b-",
        "1",
        "1 ",
        "1-",
        "(1",
        "+1",
        "4111 ",
        "4111111111111111 ",
        "2025550147, ",
        "eyJabcdefgh",
        "eyJabcdefgh-",
        "eyJabcdefgh.",
        "sk-abc ",
        "sk-" + "a" * 20 + "-",
        "bearer ",
        "password: ",
        "secret ",
        "xoxb-",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        " ",
        "\n",
        "é",
        "🙈",
    ],
)
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        said = (piece * (size // len(piece) + 1))[:size]
        begun = time.thread_time()
        redact(said)
        return time.thread_time() - begun

    small, large = min(seconds(10_000) for _ in range(2)), seconds(100_000)

    assert large < max(0.25, 20 * small)
