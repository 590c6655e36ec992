"""Each platform asked page by page: cursors, page tokens that expire, records that appear meanwhile, files that rotate."""

import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from platforms import Answer, Asked, platform
from sqlalchemy import create_engine, text

from connectors.errors import Reject
from connectors.events import FeedbackGiven, TurnAdded
from connectors.pulls.base import Page, Pull
from connectors.pulls.dialogflow_cx import DialogflowCx, DialogflowOptions
from connectors.pulls.langfuse import Langfuse, LangfuseOptions
from connectors.pulls.lex import Lex, LexOptions
from connectors.pulls.rasa_events import RasaEvents, RasaEventsOptions
from connectors.pulls.rasa_http import RasaHttp, RasaHttpOptions
from connectors.pulls.rasa_sql import ROWS, RasaSql, RasaSqlOptions
from connectors.pulls.voiceflow import Voiceflow, VoiceflowOptions

PAYLOADS = Path(__file__).parent / "payloads"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
AGENT = "projects/p/locations/global/agents/a"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as client:
        yield client


def drain(pull: Pull, cursor: str | None = None, start: datetime | None = None, now: datetime = NOW) -> list[Page]:
    return list(pull.fetch(cursor, start, now))


def said(pages: list[Page]) -> list[str]:
    return [event.turn.text for page in pages for event in page.events if isinstance(event, TurnAdded)]


# --- Rasa's tracker store -----------------------------------------------------------------------------------------


def rasa_event(text: str, at: datetime, kind: str = "user", **more: Any) -> dict[str, Any]:
    return {"event": kind, "text": text, "timestamp": at.timestamp(), **more}


class Store:
    """Rasa's table, as its SQL tracker store makes it."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._run(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, sender_id VARCHAR(255) NOT NULL, type_name VARCHAR(255) NOT NULL, "
            "timestamp FLOAT, intent_name VARCHAR(255), action_name VARCHAR(255), data TEXT)"
        )

    def add(self, id: int, sender: str, event: dict[str, Any]) -> None:
        row = (id, sender, event["event"], event["timestamp"], json.dumps(event))
        self._run("INSERT INTO events (id, sender_id, type_name, timestamp, data) VALUES (?, ?, ?, ?, ?)", row)

    def _run(self, statement: str, row: tuple[Any, ...] = ()) -> None:
        connection = sqlite3.connect(self._path)
        with connection:
            connection.execute(statement, row)
        connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "rasa.db")


def rasa_sql(store: Store) -> RasaSql:
    return RasaSql(RasaSqlOptions(url=store.url), None)  # type: ignore[arg-type]  # it speaks SQL


def test_rasas_store_is_read_by_id_and_read_again_only_where_it_grew(store: Store) -> None:
    old = NOW - timedelta(hours=1)
    for id in range(1, ROWS + 31):
        store.add(id, f"u{id % 30}", rasa_event(f"words {id}", old))

    pages = drain(rasa_sql(store))
    again = drain(rasa_sql(store), pages[-1].cursor)
    store.add(ROWS + 31, "u1", rasa_event("one more", old))
    more = drain(rasa_sql(store), pages[-1].cursor)

    assert len(said(pages)) == ROWS + 30
    assert again == []
    assert said(more) == ["one more"]


def test_an_id_that_is_committed_late_is_not_missed(store: Store) -> None:
    old, young = NOW - timedelta(hours=1), NOW - timedelta(seconds=20)
    store.add(1, "u1", rasa_event("first", old))
    store.add(3, "u1", rasa_event("third", young))
    pages = drain(rasa_sql(store))
    store.add(2, "u2", rasa_event("second, committed late", young))

    later = drain(rasa_sql(store), pages[-1].cursor)
    much_later = drain(rasa_sql(store), later[-1].cursor, now=NOW + timedelta(hours=1))
    done = drain(rasa_sql(store), much_later[-1].cursor, now=NOW + timedelta(hours=1))

    assert said(pages) == ["first", "third"]
    assert sorted(said(later)) == ["second, committed late", "third"]
    assert done == []


def test_a_transaction_of_rasas_that_ends_late_is_not_missed(empty_postgres_url: str) -> None:
    """The real thing: PostgreSQL gives the lower id to a transaction that is committed after the one with the higher id."""
    engine = create_engine(empty_postgres_url)
    row = "INSERT INTO events (sender_id, type_name, timestamp, data) VALUES (:sender, 'user', :at, :data)"
    young = NOW - timedelta(seconds=20)

    def values(sender: str) -> dict[str, Any]:
        return {"sender": sender, "at": young.timestamp(), "data": json.dumps(rasa_event(f"from {sender}", young))}

    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE events (id SERIAL PRIMARY KEY, sender_id TEXT, type_name TEXT, timestamp FLOAT, data TEXT)")
        )
    pull = RasaSql(RasaSqlOptions(url=empty_postgres_url), None)  # type: ignore[arg-type]
    with engine.connect() as slow, engine.connect() as quick:
        slow.execute(text(row), values("slow"))
        quick.execute(text(row), values("quick"))
        quick.commit()
        first = drain(pull)
        slow.commit()
    later = drain(pull, first[-1].cursor)
    engine.dispose()

    assert said(first) == ["from quick"]
    assert sorted(said(later)) == ["from quick", "from slow"]


def test_what_rasa_answers_is_read_with_the_users_words_before_it(store: Store) -> None:
    old = NOW - timedelta(hours=1)
    store.add(1, "u1", rasa_event("long ago", old))
    store.add(2, "u1", rasa_event("qwertz", old, parse_data={"intent": {"name": "greet", "confidence": 0.2}}))
    first = drain(rasa_sql(store))
    store.add(3, "u1", {"event": "action", "name": "action_default_fallback", "timestamp": old.timestamp()})

    pages = drain(rasa_sql(store), first[-1].cursor)

    assert said(pages) == ["qwertz"]
    assert [e.turn.intent.name for p in pages for e in p.events if isinstance(e, TurnAdded) and e.turn.intent] == [
        "action_default_fallback"
    ]


def test_rasas_store_can_be_read_from_a_date(store: Store) -> None:
    store.add(1, "u1", rasa_event("old", NOW - timedelta(days=9)))
    store.add(2, "u1", rasa_event("new", NOW - timedelta(days=1)))

    assert said(drain(rasa_sql(store), start=NOW - timedelta(days=2))) == ["new"]
    assert drain(rasa_sql(store), start=NOW) == []


def test_a_broken_event_in_rasas_store_does_not_hide_the_others(store: Store) -> None:
    old = NOW - timedelta(hours=1)
    store.add(1, "u1", {"event": "user", "text": ["no text"], "timestamp": old.timestamp()})
    store.add(2, "u2", rasa_event("hello", old))

    (page,) = drain(rasa_sql(store))

    assert said([page]) == ["hello"]
    assert [(bad.record.id, "events.0.text" in bad.reason) for bad in page.bad] == [("u1 1-1", True)]


@pytest.mark.parametrize(
    ("url", "says"),
    [("sqlite:///nowhere.db", "there is no file"), ("no url", "SQLAlchemy URL"), ("mysql+pymysql://h/d", "pip install")],
)
def test_a_store_that_cannot_be_opened_is_told_with_its_option(tmp_path: Path, url: str, says: str) -> None:
    pull = RasaSql(RasaSqlOptions(url=url), None)  # type: ignore[arg-type]

    with pytest.raises(Reject, match=says):
        drain(pull)


def test_a_store_without_the_table_is_told(store: Store) -> None:
    pull = RasaSql(RasaSqlOptions(url=store.url, table="trackers"), None)  # type: ignore[arg-type]

    with pytest.raises(Reject, match="no table `trackers`"):
        drain(pull)


# --- Rasa's HTTP API ----------------------------------------------------------------------------------------------


def test_rasas_api_gives_the_trackers_that_are_listed(http: httpx.Client, tmp_path: Path) -> None:
    tracker = json.loads((PAYLOADS / "rasa/tracker.json").read_text())
    (tmp_path / "ids").write_text("u-2\n\n u/3 \n")

    def answer(asked: Asked) -> Answer:
        if asked.path == "/list":
            return Answer([{"conversation_id": "u-1"}, "u-4"])
        name = asked.path.split("/")[2]
        return Answer({}, 404) if name == "u-4" else Answer({**tracker, "sender_id": name})

    with platform(answer) as server:
        options = RasaHttpOptions(
            url=server.url,
            token="t0k",
            jwt="j.w.t",
            conversations=("u-0",),
            conversations_file=tmp_path / "ids",
            conversations_url=f"{server.url}/list?a=1",
        )
        pages = drain(RasaHttp(options, http))

    assert {event.conversation_id for page in pages for event in page.events if isinstance(event, TurnAdded)} == {
        "u-0",
        "u-1",
        "u-2",
        "u%2F3",
    }
    assert all(asked.query["token"] == "t0k" and asked.headers["authorization"] == "Bearer j.w.t" for asked in server.asked)
    assert server.asked[0].query["a"] == "1"
    assert server.asked[-1].query["include_events"] == "ALL"


def test_a_round_of_trackers_that_broke_off_goes_on_where_it_stopped(http: httpx.Client) -> None:
    names = tuple(f"u{n:02d}" for n in range(45))

    with platform(lambda asked: Answer({"sender_id": asked.path.split("/")[2], "events": []})) as server:
        pull = RasaHttp(RasaHttpOptions(url=server.url, conversations=names), http)
        first = next(iter(pull.fetch(None, None, NOW)))
        server.asked.clear()
        rest = drain(pull, first.cursor)
        others = [asked.path.split("/")[2] for asked in server.asked]
        anew = drain(pull, rest[-1].cursor)

    assert others == list(names[20:])
    assert sum(page.records for page in anew) == 45


def test_rasas_api_without_any_name_says_what_to_give(http: httpx.Client) -> None:
    with pytest.raises(Reject, match="conversations_file"):
        drain(RasaHttp(RasaHttpOptions(url="http://127.0.0.1:9"), http))


# --- Rasa's event file --------------------------------------------------------------------------------------------


def line(text: str, n: int = 0) -> str:
    return json.dumps(rasa_event(text, NOW + timedelta(seconds=n), sender_id="u1")) + "\n"


def events_in(path: Path) -> RasaEvents:
    return RasaEvents(RasaEventsOptions(path=path), None)  # type: ignore[arg-type]


def grow(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(lines)


def test_a_line_in_the_writing_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    grow(path, line("one"), line("two")[:20])
    first = drain(events_in(path))
    grow(path, line("two")[20:], "\n", line("three"))

    second = drain(events_in(path), first[-1].cursor)

    assert said(first) == ["one"]
    assert said(second) == ["two", "three"]
    assert drain(events_in(path), second[-1].cursor) == []


@pytest.mark.parametrize("how", ["renamed", "compressed", "copied and emptied", "twice"])
def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path, how: str) -> None:
    path = tmp_path / "events.log"
    grow(path, line("one"))
    cursor = drain(events_in(path))[-1].cursor
    grow(path, line("two", 1))
    os.utime(path, (1_000, 1_000))
    if how == "copied and emptied":
        shutil.copy2(path, tmp_path / "events.log.1")
        path.write_text("")
    else:
        path.rename(tmp_path / "events.log.1")
    if how == "compressed":
        (tmp_path / "events.log.1.gz").write_bytes(gzip.compress((tmp_path / "events.log.1").read_bytes()))
        (tmp_path / "events.log.1").unlink()
    if how == "twice":
        (tmp_path / "events.log.1").rename(tmp_path / "events.log.2")
        grow(tmp_path / "events.log.1", line("between", 2))
        os.utime(tmp_path / "events.log.1", (2_000, 2_000))
    grow(path, line("three", 3))

    pages = drain(events_in(path), cursor)

    assert said(pages) == (["two", "between", "three"] if how == "twice" else ["two", "three"])
    assert drain(events_in(path), pages[-1].cursor) == []


def test_lines_that_cannot_be_read_are_kept_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    grow(path, line("one"), "no JSON\n", '{"event": "user", "timestamp": 1}\n', line("two"))

    (page,) = drain(events_in(path))

    assert said([page]) == ["one", "two"]
    assert [bad.record.body for bad in page.bad] == [b"no JSON", b'{"event": "user", "timestamp": 1}']


def test_a_fallback_on_a_later_page_still_changes_the_users_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.log"
    fallback = {"event": "action", "name": "action_default_fallback", "timestamp": NOW.timestamp() + 1, "sender_id": "u1"}
    grow(path, *(line(f"words {n}", n) for n in range(500)), json.dumps(fallback) + "\n")

    pages = drain(events_in(path))

    (retold,) = [event.turn for event in pages[1].events if isinstance(event, TurnAdded)]
    assert retold.text == "words 499"
    assert retold.edited_at is not None
    assert retold.intent is not None
    assert retold.intent.name == "action_default_fallback"


def test_exactly_one_way_to_the_events_must_be_given() -> None:
    with pytest.raises(Reject, match="exactly one of `path`, `kafka` and `amqp`"):
        RasaEvents(RasaEventsOptions(), None)  # type: ignore[arg-type]


# --- Dialogflow CX ------------------------------------------------------------------------------------------------


class History:
    """An agent's conversations, listed newest first; page tokens may expire."""

    def __init__(self) -> None:
        self.starts: dict[str, datetime] = {}
        self.expire = False
        self.fetched: list[str] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.headers["authorization"] != "Bearer t0k":
            return Answer({"error": {"status": "UNAUTHENTICATED"}}, 401)
        name = asked.path.removeprefix("/v3beta1/")
        if name != f"{AGENT}/conversations":
            self.fetched.append(name.rpartition("/")[2])
            text = f"hello from {self.fetched[-1]}"
            return Answer({"name": name, "interactions": [{"requestUtterances": text, "createTime": NOW.isoformat()}]})
        token = asked.query.get("pageToken")
        if token and self.expire:
            self.expire = False
            return Answer({"error": {"status": "INVALID_ARGUMENT", "message": "page token expired"}}, 400)
        since = (
            datetime.fromisoformat(asked.query["filter"].split('"')[1])
            if "filter" in asked.query
            else datetime.min.replace(tzinfo=UTC)
        )
        names = sorted(
            (name for name in self.starts if self.starts[name] > since), key=lambda name: self.starts[name], reverse=True
        )
        first, size = int(token or 0), int(asked.query["pageSize"])
        listed = [
            {"name": f"{AGENT}/conversations/{n}", "startTime": self.starts[n].isoformat(), "duration": "60s"}
            for n in names[first : first + size]
        ]
        more = {"nextPageToken": str(first + size)} if first + size < len(names) else {}
        return Answer({"conversations": listed, **more})


def dialogflow(url: str, http: httpx.Client, **more: Any) -> DialogflowCx:
    return DialogflowCx(DialogflowOptions(agent=AGENT, url=url, token="t0k", page_size=4, **more), http)


def test_dialogflows_history_is_read_once_and_then_only_what_was_active(http: httpx.Client) -> None:
    history = History()
    history.starts = {f"c{n}": NOW - timedelta(hours=n) for n in range(10)}

    with platform(history.answer) as server:
        pages = drain(dialogflow(server.url, http))
        history.fetched.clear()
        history.starts["c-new"] = NOW + timedelta(minutes=1)
        later = drain(dialogflow(server.url, http), pages[-1].cursor, now=NOW + timedelta(minutes=5))

    assert sorted(said(pages)) == sorted(f"hello from c{n}" for n in range(10))
    assert history.fetched == ["c-new", "c0"]
    assert json.loads(later[-1].cursor) == {"done": (NOW + timedelta(minutes=5)).isoformat().replace("+00:00", "Z")}


def test_a_page_token_that_expired_begins_the_round_again(http: httpx.Client) -> None:
    history = History()
    history.starts = {f"c{n}": NOW - timedelta(hours=n) for n in range(10)}

    with platform(history.answer) as server:
        first = next(iter(dialogflow(server.url, http).fetch(None, None, NOW)))
        history.expire = True
        rest = drain(dialogflow(server.url, http), first.cursor)

    assert sorted(set(said(rest))) == sorted(f"hello from c{n}" for n in range(10))


def test_conversations_that_begin_while_we_page_are_there_after_the_next_round(http: httpx.Client) -> None:
    history = History()
    history.starts = {f"c{n}": NOW - timedelta(hours=n + 1) for n in range(10)}

    with platform(history.answer) as server:
        pages = []
        for page in dialogflow(server.url, http).fetch(None, None, NOW):
            pages.append(page)
            history.starts[f"new{len(pages)}"] = NOW + timedelta(seconds=len(pages))
        later = drain(dialogflow(server.url, http), pages[-1].cursor, now=NOW + timedelta(minutes=5))

    assert set(said(pages) + said(later)) == {f"hello from {name}" for name in history.starts}


def test_dialogflow_says_which_credentials_are_refused(http: httpx.Client) -> None:
    with platform(History().answer) as server, pytest.raises(Reject, match=r"refuses the credentials.*`service_account_file`"):
        drain(DialogflowCx(DialogflowOptions(agent=AGENT, url=server.url, token={"command": "echo wrong"}), http))


# --- Lex ----------------------------------------------------------------------------------------------------------


def lex(path: Path) -> Lex:
    return Lex(LexOptions(path=path), None)  # type: ignore[arg-type]


def logs() -> list[str]:
    return (PAYLOADS / "lex/logs.jsonl").read_text().splitlines()


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(logs()).encode(),
        gzip.compress("".join(f"2026-01-05T09:00:01.382Z {log}\n" for log in logs()).encode()),
        b"\xef\xbb\xbf" + "\r\n".join(logs()).encode(),
        json.dumps([json.loads(log) for log in logs()]).encode(),
        json.dumps([json.loads(log) for log in logs()], indent=2).encode(),
        "\n".join(json.dumps(json.loads(log), indent=1) for log in logs()).encode(),
        json.dumps(
            {"events": [{"timestamp": 1, "message": log} for log in logs()], "nextForwardToken": "f/1"}, indent=4
        ).encode(),
        json.dumps(
            {"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "timestamp": 1, "message": log} for log in logs()]}
        ).encode(),
        json.dumps([{"@timestamp": "…", "@message": log} for log in logs()]).encode(),
    ],
    ids=["lines", "CloudWatch gz", "Windows", "list", "indented list", "indented logs", "events", "logEvents", "Insights"],
)
def test_lex_logs_are_found_in_every_export(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "export").write_bytes(content)

    pages = drain(lex(tmp_path / "export"))

    assert [text for text in said(pages) if text in ("I want shoes", "forty two", "hmpf", "yes")] == [
        "I want shoes",
        "forty two",
        "hmpf",
        "yes",
    ]
    assert not any(page.bad for page in pages)


def test_a_folder_is_read_file_by_file_and_again_only_what_is_new(tmp_path: Path) -> None:
    for n, log in enumerate(logs()[:2]):
        (tmp_path / f"part-{n}").mkdir()
        (tmp_path / f"part-{n}" / "000000.jsonl").write_text(log)
    first = drain(lex(tmp_path))
    (tmp_path / "part-2.jsonl").write_text("\n".join([*logs()[2:], "no JSON", "{}"]))

    second = drain(lex(tmp_path), first[-1].cursor)

    assert "hmpf" not in said(first)
    assert [text for text in said(second) if text in ("I want shoes", "hmpf", "yes")] == ["hmpf", "yes"]
    assert [bad.record.body for page in second for bad in page.bad] == [b"no JSON", b"{}"]
    assert drain(lex(tmp_path), second[-1].cursor) == []


def test_a_large_file_goes_on_after_the_page_that_was_stored(tmp_path: Path) -> None:
    log = json.loads(logs()[3])
    (tmp_path / "a").write_text(
        "\n".join(json.dumps({**log, "requestId": f"r{n}", "inputTranscript": f"{n}"}) for n in range(450))
    )
    first = next(iter(lex(tmp_path).fetch(None, None, NOW)))

    rest = drain(lex(tmp_path), first.cursor)

    assert said([first]) + said(rest) == [str(n) for n in range(450)]


def test_a_compressed_file_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(
        "".join(json.dumps({**json.loads(logs()[3]), "requestId": os.urandom(40).hex()}) + "\n" for _ in range(2000)).encode()
    )
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])

    pages = drain(lex(tmp_path))

    assert len(said(pages)) > 5
    assert sum(len(page.bad) for page in pages) >= 1


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Reject, match="`path`"):
        drain(lex(tmp_path / "nowhere"))


# --- Voiceflow ----------------------------------------------------------------------------------------------------


def test_voiceflows_transcripts_are_searched_page_by_page_and_fetched_where_they_changed(http: httpx.Client) -> None:
    transcript = json.loads((PAYLOADS / "voiceflow/transcript.json").read_text())["transcript"]
    updated = {f"t{n:03d}": NOW - timedelta(hours=1) for n in range(60)}

    def answer(asked: Asked) -> Answer:
        assert asked.headers["authorization"] == "VF.DM.key"
        if asked.method == "POST":
            assert asked.path == "/v1/transcript/project/pr"
            names = sorted(updated)[int(asked.query["skip"]) :][: int(asked.query["take"])]
            return Answer({"transcripts": [{"id": name, "updatedAt": updated[name].isoformat()} for name in names]})
        return Answer({"transcript": {**transcript, "id": asked.path.rpartition("/")[2]}})

    with platform(answer) as server:
        pull = Voiceflow(VoiceflowOptions(project="pr", api_key="VF.DM.key", environment="e", url=server.url), http)
        first = next(iter(pull.fetch(None, NOW - timedelta(days=9), NOW)))
        rest = drain(pull, first.cursor)
        searches = [asked.body for asked in server.asked if asked.method == "POST"]
        server.asked.clear()
        updated["t007"] = NOW + timedelta(minutes=1)
        later = drain(pull, rest[-1].cursor, now=NOW + timedelta(minutes=5))
        fetched = [asked.path for asked in server.asked if asked.method == "GET"]

    assert {event.conversation_id for page in [first, *rest] for event in page.events if isinstance(event, TurnAdded)} == set(
        updated
    )
    assert searches[0] == {"startDate": (NOW - timedelta(days=9)).isoformat(), "environmentID": "e"}
    assert fetched == ["/v1/transcript/t007"]
    assert later[-1].records == 0 or sum(page.records for page in later) == 1


# --- Langfuse -----------------------------------------------------------------------------------------------------


def langfuse_answers(asked: Asked) -> Answer:
    """Both interfaces, two traces a page."""
    trace = json.loads((PAYLOADS / "langfuse/trace.json").read_text())
    scores = json.loads((PAYLOADS / "langfuse/scores.json").read_text())["data"]
    names = [f"tr-{n}" for n in range(1, 6)]
    path = asked.path.removeprefix("/api/public")
    page, place = int(asked.query.get("page", 1)), int(asked.query.get("cursor", 0))
    if not asked.headers["authorization"].startswith("Basic "):
        return Answer({}, 401)
    if path == "/traces":
        return Answer(
            {"data": [{"id": name} for name in names[page * 2 - 2 : page * 2]], "meta": {"page": page, "totalPages": 3}}
        )
    if path.startswith("/traces/"):
        return Answer({**trace, "id": path.rpartition("/")[2]})
    if path == "/v2/observations" and "traceId" in asked.query:
        root = {**trace["observations"][1], "input": json.dumps(trace["input"]), "output": trace["output"], "sessionId": "se-1"}
        return Answer({"data": [root, trace["observations"][0]], "meta": {}})
    if path == "/v2/observations":
        assert {"fromStartTime", "toStartTime"} <= asked.query.keys()
        rows = [{"id": f"o-{name}", "traceId": name} for name in names]
        return Answer({"data": rows[place : place + 2], "meta": {"cursor": str(place + 2)} if place + 2 < len(rows) else {}})
    if path == "/v2/scores":
        return Answer({"data": scores[page * 3 - 3 : page * 3], "meta": {"page": page, "totalPages": 3}})
    assert path == "/v3/scores"
    without = [{key: value for key, value in score.items() if key != "trace"} for score in scores]
    return Answer({"data": without[place : place + 3], "meta": {"cursor": str(place + 3)} if place + 3 < len(scores) else {}})


@pytest.mark.parametrize("api", ["v3", "v4"])
def test_langfuses_traces_and_scores_meet_in_their_session(http: httpx.Client, api: Any) -> None:
    with platform(langfuse_answers) as server:
        pull = Langfuse(LangfuseOptions(public_key="pk", secret_key="sk", url=server.url, api=api), http)
        pages = drain(pull)
        server.asked.clear()
        drain(pull, pages[-1].cursor, now=NOW + timedelta(hours=1))

    turns = {event.turn.id: event for page in pages for event in page.events if isinstance(event, TurnAdded)}
    given = [event for page in pages for event in page.events if isinstance(event, FeedbackGiven)]
    assert sorted(turns) == sorted(f"tr-{n}-{role}" for n in range(1, 6) for role in ("user", "bot"))
    assert {event.conversation_id for event in turns.values()} == {"se-1"} == {event.conversation_id for event in given}
    assert sorted(event.feedback.id or "" for event in given) == [f"sc-{n}" for n in range(1, 7)]
    assert all(event.turn.retrieval for key, event in turns.items() if key.endswith("bot"))
    since = server.asked[0].query["fromTimestamp" if api == "v3" else "fromStartTime"]
    assert datetime.fromisoformat(since) == NOW - timedelta(minutes=30)


@pytest.mark.parametrize("api", ["v3", "v4"])
def test_a_round_of_langfuse_goes_on_after_any_page(http: httpx.Client, api: Any) -> None:
    with platform(langfuse_answers) as server:
        options = LangfuseOptions(public_key="pk", secret_key="sk", url=server.url, api=api)
        whole = [event for page in drain(Langfuse(options, http)) for event in page.events]
        cursor: str | None = None
        pieces: list[Any] = []
        for _ in range(20):
            page = next(iter(Langfuse(options, http).fetch(cursor, None, NOW)))
            pieces += page.events
            cursor = page.cursor
            if "until" not in json.loads(cursor):
                break

    assert pieces == whole


def test_langfuse_of_another_version_is_told(http: httpx.Client) -> None:
    with platform(lambda asked: Answer({"message": "not found"}, 404)) as server, pytest.raises(Reject, match="`api` \\(v4 for"):
        drain(Langfuse(LangfuseOptions(public_key="pk", secret_key="sk", url=server.url), http))
