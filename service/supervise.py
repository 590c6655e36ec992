"""Several processes under one command: stopped together, started again one by one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

import structlog

log = structlog.get_logger()
GRACE_SECONDS = 20


def supervise(commands: Sequence[Sequence[str]]) -> int:
    """Run them until SIGINT or SIGTERM, then stop them all; a process that dies is started again, later each time.

    Returns 0 after a requested stop, 1 where a process dies at once again and again.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    running = [_start(command) for command in commands]
    started = [time.monotonic()] * len(running)
    quick_deaths = [0] * len(running)
    failed = False
    while not stop.wait(0.2) and not failed:
        for i, process in enumerate(running):
            if process.poll() is None:
                continue
            quick_deaths[i] = quick_deaths[i] + 1 if time.monotonic() - started[i] < 10 else 1
            failed = failed or quick_deaths[i] > 3
            log.error("process_ended", command=commands[i][-1], exit_code=process.returncode, in_a_row=quick_deaths[i])
            if failed or stop.wait(quick_deaths[i] - 1):
                break
            running[i], started[i] = _start(commands[i]), time.monotonic()
    _stop(running)
    return 1 if failed else 0


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches us alone, and we stop the others in order.
    return subprocess.Popen(command, env=os.environ, start_new_session=True)  # noqa: S603 - our own commands


def _stop(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
