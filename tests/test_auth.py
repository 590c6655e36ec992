"""Who may: passwords, sessions, tokens and scopes; and that no route answers a stranger."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import NOW, add_reviewer, add_token, rows_of
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import select
from starlette.routing import BaseRoute

from service import auth, tokens
from service.app import create_app
from service.db import Database
from service.errors import Conflict, Invalid, NotFound, NotSignedIn
from service.models import ApiToken, Reviewer, Scope, SignIn
from service.settings import Settings

HOUR = timedelta(hours=1)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, follow_redirects=False) as client:
        yield client


def signed_in(client: TestClient, db: Database, name: str = "anna", is_admin: bool = False) -> TestClient:
    add_reviewer(db, name, "a long password", is_admin)
    answer = client.post("/sign-in", data={"name": name, "password": "a long password"})
    assert answer.status_code == 303
    return client


# --- reviewers ----------------------------------------------------------------------------------------------------


def test_passwords_are_stored_as_argon2_and_never_in_the_clear(db: Database) -> None:
    add_reviewer(db, "anna", "a long password")

    (anna,) = rows_of(db, Reviewer)
    assert anna.password_hash.startswith("$argon2id$")
    assert "a long password" not in anna.password_hash


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(db: Database) -> None:
    add_reviewer(db, "anna", "a long password")

    said = []
    for name, password in (("anna", "wrong password"), ("nobody", "a long password"), ("nobody", ""), ("anna", "")):
        with pytest.raises(NotSignedIn) as refused:
            auth.sign_in(db, name, password, NOW, HOUR)
        said.append(str(refused.value))

    assert len(set(said)) == 1


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_a_bad_password_is_refused(db: Database, password: str) -> None:
    with db.write() as session, pytest.raises(Invalid, match="password"):
        auth.add_reviewer(session, "anna", password, NOW)

    assert not rows_of(db, Reviewer)


def test_a_name_is_taken_once(db: Database) -> None:
    add_reviewer(db, "anna")

    with pytest.raises(Conflict), db.write() as session:
        auth.add_reviewer(session, " anna ", "another password", NOW)


def test_a_session_ends_with_its_time_and_only_its_hash_is_stored(db: Database) -> None:
    anna = add_reviewer(db)
    token = auth.sign_in(db, "anna", "a long password", NOW, HOUR)

    with db.read() as session:
        before = auth.by_cookie(session, token, NOW + HOUR - timedelta(seconds=1))
        after = auth.by_cookie(session, token, NOW + HOUR)

    assert before is not None
    assert before.reviewer_id == anna
    assert after is None
    assert token.encode() not in rows_of_sign_in(db)[0].token_hash


def rows_of_sign_in(db: Database) -> list[SignIn]:
    with db.read() as session:
        return list(session.execute(select(SignIn)).scalars())


@pytest.mark.parametrize("end", ["deactivate", "password", "sign_out"])
def test_a_session_ends_when_the_account_or_the_password_changes(db: Database, end: str) -> None:
    add_reviewer(db)
    token = auth.sign_in(db, "anna", "a long password", NOW, HOUR)

    with db.write() as session:
        if end == "deactivate":
            auth.deactivate(session, "anna")
        elif end == "password":
            auth.set_password(session, "anna", "another password")
        else:
            auth.sign_out(session, token)

    with db.read() as session:
        assert auth.by_cookie(session, token, NOW) is None


def test_a_deactivated_reviewer_cannot_sign_in(db: Database) -> None:
    add_reviewer(db)
    with db.write() as session:
        auth.deactivate(session, "anna")

    with pytest.raises(NotSignedIn):
        auth.sign_in(db, "anna", "a long password", NOW, HOUR)


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_is_stored_as_a_hash_and_ends_when_it_is_revoked(db: Database) -> None:
    token = add_token(db, Scope.sync)["Authorization"].removeprefix("Bearer ")
    with db.read() as session:
        before = tokens.by_token(session, token, NOW)

    with db.write() as session:
        tokens.revoke_token(session, "program", NOW)

    with db.read() as session:
        assert before is not None
        assert before.scopes == {Scope.sync}
        assert tokens.by_token(session, token, NOW) is None
    assert token.encode() not in rows_of(db, ApiToken)[0].token_hash


def test_admin_includes_every_scope(db: Database) -> None:
    token = add_token(db, Scope.admin)["Authorization"].removeprefix("Bearer ")

    with db.read() as session:
        identity = tokens.by_token(session, token, NOW)

    assert identity is not None
    assert identity.scopes == set(Scope)


def test_a_token_for_reviewing_needs_its_reviewer(db: Database) -> None:
    with db.write() as session:
        with pytest.raises(Invalid, match="reviewer"):
            tokens.add_token(session, "program", [Scope.review], NOW)
        with pytest.raises(NotFound):
            tokens.add_token(session, "program", [Scope.review], NOW, "nobody")
        with pytest.raises(Invalid, match="scopes"):
            tokens.add_token(session, "program", [], NOW)


def test_a_token_name_is_taken_once_and_revoked_once(db: Database) -> None:
    add_token(db, Scope.sync)

    with pytest.raises(Conflict), db.write() as session:
        tokens.add_token(session, "program", [Scope.sync], NOW)
    with db.write() as session:
        tokens.revoke_token(session, "program", NOW)
    with db.write() as session, pytest.raises(NotFound):
        tokens.revoke_token(session, "program", NOW)


# --- routes -------------------------------------------------------------------------------------------------------


def every_request(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of all our routes, with parameters filled in."""
    filled = {"{item_id}": "1", "{article_id}": "1", "{conversation_id}": "1", "{publication_id}": "1"}
    requests = []
    for route in flat(app.routes):
        if not isinstance(route, APIRoute):
            continue
        path = route.path
        for name, value in filled.items():
            path = path.replace(name, value)
        path = path.replace("{key}", "k").replace("{source}", "standard").replace("{", "").replace("}", "")
        requests += [(method, path) for method in sorted(route.methods)]
    return requests


def flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Included routers are routes themselves."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from flat(included.routes)


def test_no_route_answers_a_stranger_but_the_public_ones(app: FastAPI, client: TestClient) -> None:
    requests = every_request(app)

    accept = {"accept": "application/json"}
    answered = {path for method, path in requests if client.request(method, path, headers=accept).status_code != 401}

    assert len(requests) > 20
    assert answered == {"/sign-in", "/health", "/ready"}


@pytest.mark.parametrize("header", ["Bearer tt_wrong", "Bearer ", "Basic YTpi", "tt_wrong", "Bearer \xff"])
def test_a_token_that_is_none_gets_401_with_the_way_to_sign_in(client: TestClient, header: str) -> None:
    answer = client.get("/api/v1/items", headers={"Authorization": header.encode("latin-1")})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


REQUESTS: list[tuple[str, str, Any, Scope]] = [
    ("GET", "/api/v1/items", None, Scope.review),
    ("GET", "/api/v1/counts", None, Scope.review),
    ("GET", "/api/v1/articles", None, Scope.review),
    ("POST", "/api/v1/items/claim", {}, Scope.review),
    ("GET", "/api/v1/articles/changes", None, Scope.sync),
    ("POST", "/api/v1/sources/standard/conversations", {}, Scope.ingest),
]


@pytest.mark.parametrize(("method", "path", "body", "needed"), REQUESTS)
def test_a_token_opens_only_what_its_scope_names(
    client: TestClient, db: Database, method: str, path: str, body: Any, needed: Scope
) -> None:
    add_reviewer(db)
    answers = {
        scope: client.request(
            method, path, json=body, headers=add_token(db, scope, name=scope, reviewer="anna" if scope == Scope.review else None)
        ).status_code
        for scope in (Scope.ingest, Scope.review, Scope.sync)
    }
    admin = client.request(method, path, json=body, headers=add_token(db, Scope.admin, name="admin", reviewer="anna"))

    assert {scope for scope, status in answers.items() if status < 400} == {needed}
    assert {status for scope, status in answers.items() if scope != needed} == {403}
    assert admin.status_code < 400


def test_a_token_without_a_reviewer_cannot_claim(client: TestClient, db: Database) -> None:
    answer = client.post("/api/v1/items/claim", json={}, headers=add_token(db, Scope.admin))

    assert answer.status_code == 403
    assert "reviewer" in answer.json()["detail"]


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(client: TestClient, db: Database) -> None:
    add_reviewer(db)

    answer = client.post("/sign-in", data={"name": "anna", "password": "a long password"})

    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://testserver"}, 204),
        ({"sec-fetch-site": "same-origin"}, 204),
        ({}, 204),
    ],
)
def test_a_cookie_counts_only_for_requests_from_our_own_pages(
    client: TestClient, db: Database, headers: dict[str, str], status: int
) -> None:
    signed_in(client, db)

    assert client.post("/api/v1/items/claim", json={}, headers=headers).status_code == status


def test_an_allowed_origin_may_post_and_a_token_needs_none(settings: Settings, db: Database) -> None:
    changed = settings.model_copy(update={"allowed_origins": ["https://triage.example/"]})
    with TestClient(create_app(changed), follow_redirects=False) as client:
        token = client.get("/api/v1/articles/changes", headers={**add_token(db, Scope.sync), "origin": "https://any.example"})
        ours = signed_in(client, db).post("/api/v1/items/claim", json={}, headers={"origin": "https://Triage.example"})

    assert (token.status_code, ours.status_code) == (200, 204)
