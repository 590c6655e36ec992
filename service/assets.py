"""The pages' own files, below an address that changes with their content."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).resolve().parent / "static"
A_YEAR = "public, max-age=31536000, immutable"


@cache
def version() -> str:
    """One for all files: the parts of the script name each other without it, and are found beside each other."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a file: browsers keep it for long and never show a stale one."""
    return f"/static/{version()}/{name}"


@cache
def scripts() -> tuple[str, ...]:
    """The addresses of all parts of the script."""
    return tuple(asset(path.name) for path in sorted(FOLDER.glob("*.js")))


class Assets(StaticFiles):
    """Mounted at /static/{version}. A page of another version gets the files as they are now, and asks again next time."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        current = scope["path_params"]["version"] == version()
        response.headers["Cache-Control"] = A_YEAR if current else "no-cache"
        return response
