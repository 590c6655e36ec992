"""The floor that ingest is measured against: reads the body, verifies the signature, answers; stores nothing."""

import sys
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI, Request, Response

from connectors.sources.standard import StandardSource


def make_app(secret: str) -> FastAPI:
    app = FastAPI()
    source = StandardSource()

    @app.post("/hooks/standard", status_code=202)
    async def receive(request: Request) -> Response:
        body = await request.body()
        source.verify(dict(request.headers), body, [secret], datetime.now(UTC))
        return Response(status_code=202)

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False)
