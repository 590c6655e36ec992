"""The contract of a source as tests: import it, give it your source and some payloads, and run pytest.

    class TestAcme(SourceContract):
        source = AcmeSource(timedelta(minutes=5))
        payloads = load("tests/payloads/acme")

        def sign(self, body, secret, now):
            return {"x-acme-signature": ...}

Needs pytest and hypothesis, which the product itself does not.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import Reject
from connectors.events import Event, Ignored, Source, Told

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WORDS = "Kohlrabi"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=25,
)


def load(folder: str | Path) -> list[bytes]:
    """The payloads of a folder, by name."""
    return [path.read_bytes() for path in sorted(Path(folder).glob("*.json"))]


class SourceContract:
    """What every source promises. Subclass it under a name that pytest collects, and give what stands below."""

    source: ClassVar[Source]
    payloads: ClassVar[Sequence[bytes]]
    """What the platform really sends, one request each; each gives at least one event that is not ignored."""
    unknown: ClassVar[Sequence[bytes]] = ()
    """Requests that tell nothing: they are ignored, and counted."""
    secret: ClassVar[str] = "c2VjcmV0LWZvci10aGUtY29udHJhY3QtdGVzdHM="
    other_secret: ClassVar[str] = "YW5vdGhlci1zZWNyZXQtZm9yLXRoZS1jb250cmFjdA=="
    signs_body: ClassVar[bool] = True
    """False where the platform only sends a shared secret."""
    mutations: ClassVar[int] = 1000

    def sign(self, body: bytes, secret: str, now: datetime) -> Mapping[str, str]:
        """The headers that the platform sends with the body; names in lower case. Each source's test says how."""
        raise NotImplementedError

    def test_a_signed_payload_is_verified_and_tells_something(self) -> None:
        for body in self.payloads:
            headers = self.sign(body, self.secret, NOW)

            first = self.source.verify(headers, body, [self.secret], NOW)
            again = self.source.verify(headers, body, [self.other_secret, self.secret], NOW)

            assert first.id
            assert first == again, "another secret that holds at the same time changes nothing"
            assert any(isinstance(event, Told) for event in self.source.parse(body))

    def test_parsing_twice_and_in_any_order_gives_the_same_events(self) -> None:
        alone = [self.source.parse(body) for body in self.payloads]

        backwards = [self.source.parse(body) for body in reversed(self.payloads)]

        assert alone == backwards[::-1]

    def test_a_wrong_secret_or_a_missing_header_is_refused_without_telling_a_secret(self) -> None:
        body = self.payloads[0]
        signed = dict(self.sign(body, self.secret, NOW))
        lacking = [{name: value for name, value in signed.items() if name != left_out} for left_out in signed]

        reasons = [self._reason(headers, body, [self.secret]) for headers in ({}, *lacking)]
        reasons += [self._reason(signed, body, [self.other_secret]), self._reason(signed, body, [])]

        assert reasons[0] is not None, "a request without any header is refused"
        assert reasons[-1] is not None
        assert reasons[-2] is not None
        for reason in filter(None, reasons):
            assert self.secret not in reason
            assert self.other_secret not in reason

    def test_a_changed_body_is_refused(self) -> None:
        if not self.signs_body:
            pytest.skip("the platform signs no body")
        body = self.payloads[0]

        assert self._reason(self.sign(body, self.secret, NOW), body + b" ", [self.secret]) is not None

    def test_headers_of_any_content_are_refused_and_nothing_else(self) -> None:
        body = self.payloads[0]
        signed = dict(self.sign(body, self.secret, NOW))
        for name in signed:
            for strange in ("\u00e4\u00f6", "v1,", "=", "1e309", "-1", "9" * 400, "nan", "2026-01-05", signed[name][:-1]):
                self._reason({**signed, name: strange}, body, [self.secret])

    def test_every_field_may_be_missing(self) -> None:
        for body in self.payloads:
            for lacking in _lacking(json.loads(body)):
                self._parse(json.dumps(lacking).encode())

    def test_fields_that_nobody_knows_change_nothing(self) -> None:
        for body in self.payloads:
            more = _with_more(json.loads(body))

            assert _ids(self.source.parse(json.dumps(more).encode())) == _ids(self.source.parse(body))

    def test_what_tells_nothing_is_ignored_by_name(self) -> None:
        for body in self.unknown:
            events = self.source.parse(body)

            assert events
            assert all(isinstance(event, Ignored) and event.what for event in events)

    def test_mutated_payloads_give_events_or_a_reject(self) -> None:
        rng = Random(0)  # noqa: S311 - the same mutations each time
        samples = [json.loads(body) for body in self.payloads]
        for _ in range(self.mutations):
            self._parse(json.dumps(mutated(rng.choice(samples), rng)).encode(errors="surrogatepass"))

    def test_no_reason_quotes_what_was_sent(self) -> None:
        for body in self.payloads:
            for place in range(400):
                if (changed := _with_words_at(json.loads(body), place)) is None:
                    break
                assert WORDS not in (self._parse(json.dumps(changed).encode()) or "")

    def test_any_body_gives_events_or_a_reject(self) -> None:
        @settings(max_examples=200, deadline=None)
        @given(body=st.binary() | _JSON.map(json.dumps).map(str.encode))
        def check(body: bytes) -> None:
            self._parse(body)
            self._reason({}, body, [self.secret])

        check()

    def test_bodies_made_to_hurt_give_events_or_a_reject(self) -> None:
        for body in (b"[" * 100_000, b'{"a":' * 50_000, b'{"id": ' + b"9" * 5000 + b"}", b"\xff\xfe", b""):
            self._parse(body)

    def _parse(self, body: bytes) -> str | None:
        """Why the body was rejected; None where it gave events."""
        try:
            events = self.source.parse(body)
        except Reject as error:
            return error.reason
        assert all(isinstance(event, Told | Ignored) for event in events)
        return None

    def _reason(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> str | None:
        try:
            self.source.verify(headers, body, secrets, NOW)
        except Reject as error:
            return error.reason
        return None


def mutated(sample: Any, rng: Random) -> Any:
    """One to three places of it dropped, of another type, nested, huge, in strange letters, or numbers as text."""
    changed = json.loads(json.dumps(sample))  # a tenth of what copy.deepcopy takes
    for _ in range(rng.randint(1, 3)):
        places = _places(changed)
        if not places:
            return changed
        holder, key = rng.choice(places)
        how = rng.randrange(8)
        if how == 0:
            del holder[key]
        elif how == 1:
            holder[key] = rng.choice([None, True, 0, -1, 1.5, "", "x", [], {}, [None], {"id": 1}])
        elif how == 2:
            holder[key] = {"nested": holder[key]}
        elif how == 3:
            holder[key] = [holder[key]] * rng.randint(1, 3)
        elif how == 4:
            holder[key] = rng.choice(["x" * 100_000, 10**30, -(10**30), 1e308, "9" * 400, "x" * 256])
        elif how == 5:
            holder[key] = rng.choice(["\x00", "\u202e\u05d0", "\ud83d\ude00" * 50, "\ud800", "e\u0301\u0327"])
        elif how == 6:
            holder[key] = str(holder[key])
        else:
            holder[key] = rng.choice(
                [float("nan"), float("inf"), "NaN", "1e5", "0.63", "2026-13-45", "0001-01-01T00:00:00+14:00"]
            )
    return changed


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value as (what holds it, key)."""
    places: list[tuple[Any, Any]] = []
    holders = [value]
    for holder in holders:
        if isinstance(holder, dict):
            places += [(holder, key) for key in holder]
            holders += holder.values()
        elif isinstance(holder, list):
            places += [(holder, place) for place in range(len(holder))]
            holders += holder
    return places


def _lacking(value: Any) -> Iterator[Any]:
    """The value once for each of its places, without that one."""
    for place in range(len(_places(value))):
        changed = copy.deepcopy(value)
        holder, key = _places(changed)[place]
        del holder[key]
        yield changed


def _with_more(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: _with_more(inner) for key, inner in value.items()}, "zz_unheard_of": {"new": [1, "two"]}}
    return [_with_more(inner) for inner in value] if isinstance(value, list) else value


def _with_words_at(value: Any, place: int) -> Any | None:
    """With words where something stood; None past the last place."""
    places = _places(value)
    if place >= len(places):
        return None
    holder, key = places[place]
    holder[key] = WORDS if isinstance(holder[key], dict | list) else [WORDS]
    return value


def _ids(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    """What an event is about: unknown fields may be kept with it."""
    return [
        (type(event), getattr(event, "conversation_id", None), getattr(getattr(event, "turn", None), "id", None))
        for event in events
    ]
