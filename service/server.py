"""The web server, which stops at once though pages listen."""

import socket

import uvicorn
from fastapi import FastAPI

from service.settings import Settings


def config_of(settings: Settings, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        # Whoever may name an address in a header has as many tries at signing in as there are addresses.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        # Large numbers of small deliveries come over few connections: keep them open.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        server_header=False,
    )


class Server(uvicorn.Server):
    """uvicorn waits for open answers before it ends the application: those without an end are told first."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.live.close()
        await super().shutdown(sockets)
