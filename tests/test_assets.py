"""Static files: found by each other, kept by browsers, never stale."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_settings
from starlette.testclient import TestClient

from service.app import create_app
from service.assets import FOLDER, asset, scripts


@pytest.fixture
def client(sqlite_url: str, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(make_settings(sqlite_url, tmp_path))) as client:
        yield client


def test_every_part_of_the_script_is_reached_from_the_first_and_loaded_ahead(client: TestClient) -> None:
    page = client.get("/sign-in").text
    ahead = re.findall(r'<link rel="modulepreload" href="([^"]+)">', page)
    (first,) = re.findall(r'<script type="module" src="([^"]+)">', page)

    reached, waiting = set(), [first]
    while waiting:
        address = waiting.pop()
        reached.add(address)
        told = client.get(address)
        assert told.headers["content-type"].startswith("text/javascript"), address
        folder = address.rpartition("/")[0]
        named = [f"{folder}/{name}" for name in re.findall(r'^import (?:.* from )?"\./([\w.]+)";$', told.text, re.MULTILINE)]
        waiting += [one for one in named if one not in reached]

    assert reached == set(ahead) == set(scripts())


def test_browsers_keep_a_file_of_this_version_and_ask_again_for_one_of_another(client: TestClient) -> None:
    current = client.get(asset("triage.css"))
    other = client.get("/static/0123456789ab/triage.css")

    assert current.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert other.headers["cache-control"] == "no-cache"
    assert current.content == other.content == (FOLDER / "triage.css").read_bytes()


@pytest.mark.parametrize(
    "path", ["/static/triage.css", "/static/x/nothing.js", "/static/x/../../app.py", "/static/x/%2e%2e/app.py"]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
