"""Signing in: how tries are slowed down, what a session is, and that nobody learns from it who has an account."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from conftest import NOW, add_reviewer, add_token, make_settings, rows_of
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs
from typer.testing import CliRunner

from service import auth, tokens, tries
from service.app import create_app
from service.cli import app as app_of_commands
from service.db import Database
from service.errors import Invalid, NotFound, NotSignedIn, TooManyTries
from service.models import ApiToken, Reviewer, Scope, SignIn, SignInTry, TryKind
from service.server import config_of
from service.settings import Settings, load_settings

HOUR = timedelta(hours=1)
RIGHT, WRONG = "a long password", "not the password"
PAGE = {"accept": "text/html"}


def sign_in(
    db: Database, password: str = RIGHT, address: str = "10.0.0.1", at: timedelta = timedelta(0), name: str = "anna"
) -> str:
    return auth.sign_in(db, name, password, NOW + at, HOUR, address)


def fail(db: Database, times: int, address: str = "192.0.2.{}", at: timedelta = timedelta(0), name: str = "anna") -> list[str]:
    """What so many wrong tries are answered, each from an address of its own where there is a place for its number."""
    said = []
    for number in range(times):
        try:
            sign_in(db, WRONG, address.format(number), at, name)
        except (NotSignedIn, TooManyTries) as error:
            said.append(type(error).__name__)
    return said


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, follow_redirects=False) as client:
        yield client


# --- waits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(TryKind))
def test_waits_begin_late_double_and_end_somewhere(kind: TryKind) -> None:
    free = tries.FREE[kind]

    waits = [tries.wait_after(kind, failures).total_seconds() for failures in (free - 1, free, free + 1, free + 2, 1_000_000)]

    assert waits == [0, 1, 2, 4, tries.LONGEST[kind].total_seconds()]


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_after_a_few_failures_an_account_waits_wherever_they_come_from_and_whether_it_exists_or_not(
    db: Database, name: str
) -> None:
    add_reviewer(db)

    said = fail(db, 7, name=name)

    assert said == ["NotSignedIn"] * 5 + ["TooManyTries"] * 2


def test_the_right_password_waits_too_and_counts_again_when_the_wait_is_over(db: Database) -> None:
    add_reviewer(db)
    fail(db, 5)

    with pytest.raises(TooManyTries) as refused:
        sign_in(db)
    sign_in(db, at=timedelta(seconds=refused.value.seconds))

    assert fail(db, 5, at=timedelta(seconds=2)) == ["NotSignedIn"] * 5  # the right password forgave those before


def test_strangers_never_hold_up_who_comes_from_an_address_that_the_account_knows(db: Database) -> None:
    add_reviewer(db)
    sign_in(db, address="10.0.0.1")

    fail(db, 25, at=timedelta(hours=2))
    fail(db, 25, address="203.0.113.9", at=timedelta(hours=2))

    assert sign_in(db, address="10.0.0.1", at=timedelta(hours=2))


def test_a_known_address_has_no_end_of_tries_either(db: Database) -> None:
    add_reviewer(db)
    sign_in(db, address="10.0.0.1")

    said = fail(db, 12, address="10.0.0.1")

    assert said == ["NotSignedIn"] * 10 + ["TooManyTries"] * 2
    assert all(row.free_at - NOW <= tries.LONGEST[TryKind.account_at_address] for row in rows_of(db, SignInTry))


def test_another_password_makes_the_account_forget_its_addresses(db: Database) -> None:
    add_reviewer(db)
    sign_in(db, address="10.0.0.1")
    with db.write() as session:
        auth.set_password(session, "anna", RIGHT)
    fail(db, 5)

    with pytest.raises(TooManyTries):
        sign_in(db, address="10.0.0.1")


def test_an_address_that_tries_many_names_waits_and_others_do_not(db: Database) -> None:
    add_reviewer(db)
    for number in range(20):
        tries.admit(db, f"name {number}", None, "203.0.113.9", NOW)

    with pytest.raises(TooManyTries):
        sign_in(db, address="203.0.113.9")

    assert sign_in(db, address="203.0.113.10")


def test_an_own_account_gives_an_address_no_further_tries(db: Database) -> None:
    add_reviewer(db)
    for number in range(19):
        tries.admit(db, f"name {number}", None, "203.0.113.9", NOW)
    sign_in(db, address="203.0.113.9")

    said = fail(db, 3, address="203.0.113.9", name="nobody")

    assert said == ["NotSignedIn", "TooManyTries", "TooManyTries"]


def test_waits_begin_anew_after_a_quiet_hour(db: Database) -> None:
    add_reviewer(db)
    fail(db, 5)

    assert fail(db, 5, at=tries.FORGIVEN + timedelta(minutes=10)) == ["NotSignedIn"] * 5


def test_of_tries_that_come_at_once_no_more_are_looked_at_than_one_after_another(db: Database) -> None:
    add_reviewer(db)
    said: list[str] = []
    begin = threading.Barrier(12)

    def attempt(number: int) -> None:
        begin.wait()
        said.extend(fail(db, 1, address=f"198.51.100.{number}"))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["NotSignedIn"] * 5 + ["TooManyTries"] * 7


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 500, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_stands_for_all_that_one_household_has(address: str, place: str) -> None:
    assert tries.place_of(address) == place


# --- what is told -------------------------------------------------------------------------------------------------


def test_the_answer_takes_as_long_for_a_name_that_nobody_has(db: Database) -> None:
    usual = PasswordHasher().hash(RIGHT)
    add_reviewer(db)
    with db.write() as session:
        session.execute(update(Reviewer).values(password_hash=usual))
    took = {}

    for name in ("anna", "nobody"):
        begun = time.process_time()
        fail(db, 4, name=name)
        took[name] = time.process_time() - begun

    assert 0.5 < took["anna"] / took["nobody"] < 2


def test_the_log_says_who_was_refused_where_and_never_what_was_typed(db: Database) -> None:
    anna = add_reviewer(db)

    with capture_logs() as logs:
        fail(db, 6, address="192.0.2.7")
        fail(db, 1, address="192.0.2.8", name="hunter2hunter2")

    told = [(line["event"], line["reason"], line["reviewer_id"], line["address"]) for line in logs]
    assert told == [
        *[("sign_in_refused", "wrong", anna, "192.0.2.7")] * 5,
        ("sign_in_refused", "too_many", anna, "192.0.2.7"),
        ("sign_in_refused", "wrong", None, "192.0.2.8"),
    ]
    assert not any(word in str(logs) for word in (WRONG, "hunter2", "anna"))


def test_nothing_of_a_password_typed_as_a_name_is_stored(db: Database) -> None:
    fail(db, 1, name="hunter2hunter2")

    assert not any("hunter2" in f"{row.account} {row.address}" for row in rows_of(db, SignInTry))
    assert {len(row.account) for row in rows_of(db, SignInTry, col(SignInTry.kind) == TryKind.account)} == {8}


def test_admins_see_what_failed_and_where(db: Database) -> None:
    add_reviewer(db)
    fail(db, 6, address="192.0.2.7")
    fail(db, 1, address="192.0.2.7", name="nobody")
    sign_in(db, address="192.0.2.9", at=HOUR)

    with db.read() as session:
        found = {(one.kind, one.name, one.address): (one.wrong, one.refused) for one in tries.refused(session, NOW + HOUR)}

    assert found == {
        (TryKind.account, "anna", None): (5, 1),
        (TryKind.account, None, None): (1, 0),
        (TryKind.address, None, "192.0.2.7"): (6, 0),
    }


def test_counts_are_kept_for_a_week(db: Database) -> None:
    add_reviewer(db)
    fail(db, 2)

    late = tries.KEPT + HOUR
    sign_in(db, at=late)
    sign_in(db, at=late)

    with db.read() as session:
        assert tries.refused(session, NOW + late) == []
    assert {row.failures for row in rows_of(db, SignInTry)} == {0}


def test_a_page_and_a_program_are_told_how_long_to_wait(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    form = {"name": "anna", "password": WRONG}
    for _ in range(7):  # the fifth and the sixth bring about a wait that lasts longer than these requests
        client.post("/sign-in", data=form)
    with db.write() as session:
        later = datetime.now(UTC) + timedelta(seconds=90)
        session.execute(update(SignInTry).where(col(SignInTry.kind) == TryKind.account).values(free_at=later))

    page = client.post("/sign-in", data={**form, "password": RIGHT}, headers=PAGE)
    program = client.post("/sign-in", data={**form, "password": RIGHT})

    assert (page.status_code, program.status_code) == (429, 429)
    assert 80 < int(page.headers["retry-after"]) <= 90
    assert 80 < int(program.headers["retry-after"]) <= 90
    assert "wait 2 minutes" in page.text
    assert "wait 2 minutes" in program.json()["detail"]
    assert "set-cookie" not in page.headers


# --- proxies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "address"), [([], "testclient"), (["127.0.0.1"], "testclient"), (["10.0.0.0/8", "192.0.2.1"], "198.51.100.7")]
)
def test_a_forwarded_address_counts_only_where_a_setting_names_the_proxy(
    sqlite_url: str, tmp_path: object, trusted: list[str], address: str
) -> None:
    settings = make_settings(sqlite_url, tmp_path, trusted_proxies=trusted)  # type: ignore[arg-type]
    db = Database(sqlite_url)
    add_reviewer(db)
    config = config_of(settings, create_app(settings))
    config.load()
    peer = ("10.1.2.3", 1) if address != "testclient" else ("testclient", 1)

    with TestClient(config.loaded_app, client=peer) as client:
        forged = {"x-forwarded-for": "1.2.3.4, 198.51.100.7, 192.0.2.1"}
        client.post("/sign-in", data={"name": "anna", "password": RIGHT}, headers=forged)

    assert [row.address for row in rows_of(db, SignIn)] == [address]
    db.close()


def test_a_proxy_that_is_no_address_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_TRUSTED_PROXIES", '["my-proxy"]')

    with pytest.raises(Exception, match="trusted_proxies"):
        load_settings()


# --- sessions -----------------------------------------------------------------------------------------------------


def test_signing_in_ends_the_session_that_the_browser_had(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    form = {"name": "anna", "password": RIGHT}
    client.post("/sign-in", data=form)
    before = client.cookies["triage_session"]

    client.post("/sign-in", data=form)

    after = client.cookies["triage_session"]
    with db.read() as session:
        assert auth.by_cookie(session, before, datetime.now(UTC)) is None
        assert auth.by_cookie(session, after, datetime.now(UTC)) is not None
    assert len(rows_of(db, SignIn)) == 1


def test_a_cookie_that_a_stranger_planted_is_never_taken_over(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    client.cookies["triage_session"] = "planted"

    answer = client.post("/sign-in", data={"name": "anna", "password": RIGHT})

    assert answer.cookies["triage_session"] != "planted"


@pytest.mark.parametrize(("base", "secure"), [("http://testserver", False), ("https://testserver", True)])
def test_over_https_the_cookie_is_for_https_alone(app: FastAPI, db: Database, base: str, secure: bool) -> None:
    add_reviewer(db)

    with TestClient(app, base_url=base, follow_redirects=False) as client:
        answer = client.post("/sign-in", data={"name": "anna", "password": RIGHT})

    assert ("secure" in answer.headers["set-cookie"].lower()) == secure


def test_one_signs_out_everywhere_and_others_stay(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    add_reviewer(db, "ben")
    now = datetime.now(UTC)
    elsewhere, bens = auth.sign_in(db, "anna", RIGHT, now, HOUR), auth.sign_in(db, "ben", RIGHT, now, HOUR)
    client.post("/sign-in", data={"name": "anna", "password": RIGHT})
    listed = client.get("/account", headers=PAGE)

    answer = client.post("/account/sign-out")

    assert listed.text.count("testclient") == 1
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?said=signed_out_everywhere")
    assert client.get("/account").status_code == 401
    with db.read() as session:
        assert auth.by_cookie(session, elsewhere, now) is None
        assert auth.by_cookie(session, bens, now) is not None


def test_an_admin_sees_all_accounts_and_signs_somebody_out(client: TestClient, db: Database) -> None:
    add_reviewer(db, "lead", is_admin=True)
    add_reviewer(db)
    now = datetime.now(UTC)
    annas = auth.sign_in(db, "anna", RIGHT, now, HOUR, "192.0.2.7")
    fail(db, 2, address="203.0.113.9", at=now - NOW)
    add_token(db, Scope.sync, name="nightly")
    client.post("/sign-in", data={"name": "lead", "password": RIGHT})

    page = client.get("/accounts", headers=PAGE).text
    ended = client.post("/accounts/sign-out", data={"name": "anna"})
    revoked = client.post("/accounts/tokens/revoke", data={"name": "nightly"})
    again = client.post("/accounts/tokens/revoke", data={"name": "nightly"})

    assert all(word in page for word in ("192.0.2.7", "203.0.113.9", "nightly"))
    assert (ended.status_code, revoked.status_code, again.status_code) == (303, 303, 404)
    assert rows_of(db, ApiToken)[0].revoked_at is not None
    with db.read() as session:
        assert auth.by_cookie(session, annas, now) is None


def test_programs_of_admins_read_and_end_sessions(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    now = datetime.now(UTC)
    auth.sign_in(db, "anna", RIGHT, now, HOUR, "192.0.2.7")
    fail(db, 1, "203.0.113.9", at=now - NOW)
    admin, other = add_token(db, Scope.admin), add_token(db, Scope.sync, name="other")

    listed = client.get("/api/v1/sign-ins", params={"reviewer": "anna"}, headers=admin).json()
    failed = client.get("/api/v1/sign-ins/failed", headers=admin).json()
    ended = [client.delete("/api/v1/sign-ins", params={"reviewer": "anna"}, headers=admin).json() for _ in range(2)]

    assert [(one["reviewer"], one["address"]) for one in listed] == [("anna", "192.0.2.7")]
    assert sorted((one["kind"], one["account"], one["wrong"]) for one in failed) == [("account", "anna", 1), ("address", None, 1)]
    assert ended == [{"ended": 1}, {"ended": 0}]
    assert client.get("/api/v1/sign-ins", params={"reviewer": "nobody"}, headers=admin).status_code == 404
    assert client.get("/api/v1/sign-ins/failed", headers=other).status_code == 403


def test_accounts_are_for_admins(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    client.post("/sign-in", data={"name": "anna", "password": RIGHT})

    answers = [client.get("/accounts"), client.post("/accounts/sign-out", data={"name": "anna"})]

    assert [answer.status_code for answer in answers] == [403, 403]


def test_the_last_use_of_a_session_is_noted_now_and_then(client: TestClient, db: Database) -> None:
    add_reviewer(db)
    client.post("/sign-in", data={"name": "anna", "password": RIGHT})
    early = datetime.now(UTC) - HOUR
    with db.write() as session:
        session.execute(update(SignIn).values(seen_at=early))

    client.get("/account")
    (noted,) = rows_of(db, SignIn)
    client.get("/account")
    (again,) = rows_of(db, SignIn)

    assert noted.seen_at > early
    assert again.seen_at == noted.seen_at


def test_sessions_of_nobody_are_an_error(db: Database) -> None:
    with db.write() as session, pytest.raises(NotFound, match="nobody"):
        auth.sessions_of(session, NOW, "nobody")
    with db.write() as session, pytest.raises(NotFound, match="nobody"):
        auth.sign_out_everywhere(session, "nobody")


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_ends_with_its_time(db: Database) -> None:
    with db.write() as session:
        token = tokens.add_token(session, "nightly", [Scope.sync], NOW, expires_at=NOW + HOUR)

    with db.read() as session:
        before = tokens.by_token(session, token, NOW + HOUR - timedelta(seconds=1))
        after = tokens.by_token(session, token, NOW + HOUR)
        listed = [one.valid for at in (NOW, NOW + HOUR) for one in tokens.tokens(session, at)]

    assert before is not None
    assert after is None
    assert listed == [True, False]


def test_a_token_that_ends_before_it_begins_or_has_no_name_is_refused(db: Database) -> None:
    with db.write() as session, pytest.raises(Invalid, match="expires"):
        tokens.add_token(session, "nightly", [Scope.sync], NOW, expires_at=NOW)
    with db.write() as session, pytest.raises(Invalid, match="name"):
        tokens.add_token(session, " ", [Scope.sync], NOW)


@pytest.mark.parametrize("path", ["/api/v1/articles/changes", "/v1/traces"])
def test_the_last_use_of_a_token_is_noted(client: TestClient, db: Database, path: str) -> None:
    header = add_token(db, Scope.admin)

    client.request("POST" if path.startswith("/v1") else "GET", path, headers={**header, "content-type": "application/json"})

    (token,) = rows_of(db, ApiToken)
    assert token.used_at is not None


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The one that commands use: what they print does not depend on the database."""
    monkeypatch.setenv("TRIAGE_DATABASE_URL", sqlite_url)
    db = Database(sqlite_url)
    yield db
    db.close()


def run(*words: str) -> str:
    """What the command prints, on either side; it must succeed."""
    done = CliRunner().invoke(app_of_commands, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_commands_list_sessions_and_tries_and_end_sessions(sqlite: Database) -> None:
    add_reviewer(sqlite)
    add_reviewer(sqlite, "ben")
    now = datetime.now(UTC)
    auth.sign_in(sqlite, "anna", RIGHT, now, HOUR, "192.0.2.7")
    auth.sign_in(sqlite, "ben", RIGHT, now, HOUR, "192.0.2.8")
    fail(sqlite, 1, "203.0.113.9", at=now - NOW)

    everybody, annas = run("reviewer", "sessions"), run("reviewer", "sessions", "anna")
    failed = run("reviewer", "tries")
    ended = run("reviewer", "sign-out", "anna")
    after = run("reviewer", "sessions")

    assert ("192.0.2.7" in everybody, "192.0.2.8" in everybody) == (True, True)
    assert ("192.0.2.7" in annas, "192.0.2.8" in annas) == (True, False)
    assert "203.0.113.9" in failed
    assert "1 session of anna ended" in ended
    assert ("192.0.2.7" in after, "192.0.2.8" in after) == (False, True)


def test_commands_make_and_list_tokens_that_end(sqlite: Database) -> None:
    token = run("token", "add", "nightly", "--scope", "sync", "--days", "30").strip()

    listed = run("token", "list")

    (row,) = rows_of(sqlite, ApiToken)
    assert timedelta(days=29) < row.expires_at - datetime.now(UTC) <= timedelta(days=30)
    assert "nightly" in listed
    assert token not in listed
