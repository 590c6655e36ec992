"""Search as programs use it: saved filters over the API, and `triage search` at a terminal and in pipes."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import add_reviewer, add_token, ingest, make_disliked, make_triage, rows_of, score_all
from fastapi.testclient import TestClient
from test_cli import environment
from typer.testing import CliRunner

from scoring.encoder import HashingEncoder
from service.app import create_app
from service.cli import app
from service.db import Database
from service.errors import Invalid, NotFound
from service.models import SavedFilter, Scope, SearchRequest
from service.searching.index import index_due
from service.searching.saved import filter_named, save_filter
from service.settings import Settings

FILTERS = "/api/v1/search/filters"


def add_scored(db: Database, *questions: str) -> None:
    ingest(db, *(make_disliked(question, id=f"c{i}") for i, question in enumerate(questions)))
    score_all(make_triage(db, HashingEncoder()))
    while index_due(db):
        pass


def keep(db: Database, reviewer_id: int, name: str, shared: bool = False, **query: str) -> None:
    with db.write() as session:
        save_filter(session, reviewer_id, name, query, shared, datetime.now(UTC))


# --- filters over the API -----------------------------------------------------------------------------------------


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def anna(db: Database) -> dict[str, str]:
    add_reviewer(db)
    return add_token(db, Scope.review, reviewer="anna", name="annas")


@pytest.fixture
def ben(db: Database) -> dict[str, str]:
    add_reviewer(db, "ben")
    return add_token(db, Scope.review, reviewer="ben", name="bens")


def test_a_filter_is_made_listed_replaced_and_deleted(client: TestClient, anna: dict[str, str], db: Database) -> None:
    told = {"name": " Lamps ", "query": {"q": "lamp", "least": "0.50"}, "shared": True}
    made = client.post(FILTERS, json=told, headers=anna)

    again = client.post(FILTERS, json={"name": "Lamps", "query": {"q": "lamps"}}, headers=anna)
    listed = client.get(FILTERS, headers=anna).json()
    one = client.get(f"{FILTERS}/{made.json()['id']}", headers=anna)
    deleted = [client.delete(f"{FILTERS}/{made.json()['id']}", headers=anna).status_code for _ in range(2)]

    assert (made.status_code, made.json()["query"]) == (201, {"q": "lamp", "least": "0.5"})
    assert again.json()["id"] == made.json()["id"]
    assert [(f["name"], f["query"], f["shared"], f["mine"], f["owner"]) for f in listed] == [
        ("Lamps", {"q": "lamps"}, False, True, "anna")
    ]
    assert one.json() == listed[0]
    assert deleted == [204, 404]
    assert rows_of(db, SavedFilter) == []


def test_others_use_what_is_shared_and_delete_nothing(
    client: TestClient, anna: dict[str, str], ben: dict[str, str], db: Database
) -> None:
    mine, shared = (
        client.post(FILTERS, json={"name": name, "query": {"q": "lamp"}, "shared": name == "shared"}, headers=anna).json()["id"]
        for name in ("mine", "shared")
    )

    seen = [client.get(f"{FILTERS}/{key}", headers=ben).status_code for key in (mine, shared)]
    used = [client.get("/api/v1/search", params={"filter": key}, headers=ben).status_code for key in (mine, shared)]

    assert (seen, used) == ([404, 200], [404, 200])
    assert client.delete(f"{FILTERS}/{shared}", headers=ben).status_code == 404
    assert [one["name"] for one in client.get(FILTERS, headers=ben).json()] == ["shared"]


def test_a_search_with_a_filter_takes_its_fields_and_puts_given_ones_in_their_place(
    client: TestClient, anna: dict[str, str], db: Database
) -> None:
    add_scored(db, "Is my lamp broken?", "Is my chair broken?")
    made = client.post(FILTERS, json={"name": "f", "query": {"q": "lamp", "signal": "user_feedback"}}, headers=anna).json()

    def found(**params: Any) -> list[str]:
        answer = client.get("/api/v1/search", params=params, headers=anna).json()
        return [one["conversation_id"] for one in answer["conversations"]]

    assert found(filter=made["id"]) == ["c0"]
    assert found(filter=made["id"], q="chair") == ["c1"]
    assert found(filter=made["id"], q="broken", verdict="good") == []


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"name": "", "query": {"q": "x"}}, "name"),
        ({"name": "x" * 81, "query": {"q": "x"}}, "name"),
        ({"name": "x", "query": {}}, "search"),
        ({"name": "x", "query": {"least": "much"}}, "least"),
        ({"name": "x", "query": {"colour": "red"}}, "colour"),
        ({"name": "x", "query": {"q": "x"}, "owner": "ben"}, "owner"),
        ({"name": "x"}, "query"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_field(
    client: TestClient, anna: dict[str, str], db: Database, told: dict[str, Any], field: str
) -> None:
    answer = client.post(FILTERS, json=told, headers=anna)

    assert answer.status_code == 422
    assert field in json.dumps(answer.json())
    assert rows_of(db, SavedFilter) == []


def test_filters_need_a_reviewer(client: TestClient, db: Database) -> None:
    admin = add_token(db, Scope.admin)

    assert client.get(FILTERS, headers=admin).status_code == 403
    assert client.get("/api/v1/search", params={"filter": 1}, headers=admin).status_code == 404


def test_a_filter_is_found_by_name_and_owner(db: Database) -> None:
    anna, ben = add_reviewer(db), add_reviewer(db, "ben")
    keep(db, anna, "lamps", q="lamp")
    keep(db, ben, "lamps", q="lamps")
    keep(db, ben, "chairs", q="chair")

    with db.read() as session:
        assert filter_named(session, "chairs").query == {"q": "chair"}
        assert filter_named(session, "lamps", "ben").query == {"q": "lamps"}
        with pytest.raises(Invalid, match="anna, ben"):
            filter_named(session, "lamps")
        with pytest.raises(NotFound, match="chairs, lamps"):
            filter_named(session, "tables")
        with pytest.raises(NotFound, match="there are: lamps"):
            filter_named(session, "chairs", "anna")


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a database of three scored conversations; commands run in it."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    db = Database(sqlite_url)
    add_scored(db, "Is my lamp broken?", "Is my chair broken?", "Where is my [lamp]?")
    db.close()
    return tmp_path


def search(*options: str) -> Result:
    return CliRunner().invoke(app, ["search", *options])


def lines(*options: str) -> list[dict[str, Any]]:
    done = search(*options)
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(*options: str) -> list[str]:
    return [one["conversation_id"] for one in lines(*options)]


def test_a_pipe_gets_json_lines_with_what_the_api_tells(folder: Path, sqlite_url: str) -> None:
    found = lines("lamp", "--signal", "user_feedback", "--order", "date", "--json")

    assert [one["conversation_id"] for one in found] == ["c2", "c0"]
    assert found[1]["exchanges"][0]["raised"][0]["name"] == "user_feedback"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["lamp", "--limit", "1", "--order", "date"], ["c2"]),
        (["broken", "--", "-lamp"], ["c1"]),
        (["--since", "2026-01-06"], []),
        (["--feedback", "no"], []),
        (["--verdict", "good"], []),
        (["--least", "0", "--order", "priority", "chair"], ["c1"]),
        (["--source", "standard", '"my chair"'], ["c1"]),
    ],
)
def test_every_option_narrows(folder: Path, options: list[str], expected: list[str]) -> None:
    assert ids(*options) == expected


def test_pages_follow_each_other_up_to_the_limit(folder: Path, sqlite_url: str) -> None:
    db = Database(sqlite_url)
    ingest(db, *(make_disliked("Is my cup broken?", id=f"cup{i}") for i in range(105)))
    while index_due(db):
        pass
    db.close()

    assert len(set(ids("cup", "--limit", "103"))) == 103
    assert len(set(ids("cup", "--limit", "200"))) == 105


def test_a_saved_filter_is_used_by_name(folder: Path, sqlite_url: str) -> None:
    db = Database(sqlite_url)
    keep(db, add_reviewer(db), "Broken lamps", q="lamp broken")
    db.close()

    assert ids("--filter", "Broken lamps") == ["c0"]
    assert ids("chair", "--filter", "Broken lamps", "--reviewer", "anna") == ["c1"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--least", "much"], "least: a number"),
        (["--since", "yesterday"], "since: a day"),
        (["--filter", "none"], "there is no filter 'none'"),
        (["--verdict", "bad"], "verdict: one of"),
    ],
)
def test_what_cannot_be_is_one_sentence(folder: Path, options: list[str], told: str) -> None:
    done = search(*options)

    assert (done.exit_code, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_by_meaning_the_command_answers_itself_where_no_worker_does(folder: Path, sqlite_url: str) -> None:
    found = lines("my lamp is broken", "--meaning")

    assert found[0]["conversation_id"] == "c0"
    assert found[0]["exchanges"][0]["similarity"] > 0.5
    db = Database(sqlite_url)
    assert rows_of(db, SearchRequest)[-1].answered_at is not None
    db.close()


def test_only_meaning_loads_a_model(folder: Path) -> None:
    watch = (
        "import sys; from typer.testing import CliRunner; from service.cli import app\n"
        "done = CliRunner().invoke(app, ['search', *sys.argv[1:]])\n"
        "print(done.exit_code, *sorted({'torch', 'faiss', 'sentence_transformers', 'sklearn'} & set(sys.modules)))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", watch, "lamp"], capture_output=True, cwd=folder, env=environment(folder), text=True, check=True
    )

    assert ran.stdout.split() == ["0"]


def test_a_reader_that_has_enough_sees_no_traceback(folder: Path) -> None:
    piped = f"'{sys.executable}' -m service search broken | true; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", piped], capture_output=True, cwd=folder, env=environment(folder), text=True, check=True)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_terminal_gets_a_table(folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", "search", "lamp", "--order", "date"]

    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, cwd=folder, env=environment(folder, TERM="dumb"), check=True
    )

    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert shown.split("\n")[0].split() == ["conversation", "source", "began", "priority", "said"]
    assert "Where is my [" in shown
    assert "c2" in shown
    assert "2 conversations" in done.stderr.decode()
