"""Web and worker under one command: started again when they die, stopped together, and given up when they cannot run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIVES = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(60)"
DIES = "import sys; open(sys.argv[1], 'a').write('x\\n'); sys.exit(3)"


@contextmanager
def supervised(folder: Path, **scripts: str) -> Iterator[subprocess.Popen[bytes]]:
    commands = [[sys.executable, "-c", script, str(folder / name)] for name, script in scripts.items()]
    script = f"import sys; from service.supervise import supervise; sys.exit(supervise({commands!r}))"
    running = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait(30)


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_process_that_dies_is_started_again_and_the_other_goes_on(tmp_path: Path) -> None:
    with supervised(tmp_path, one=LIVES, two=LIVES):
        until(lambda: bool(pids(tmp_path / "one")) and bool(pids(tmp_path / "two")))

        os.kill(pids(tmp_path / "one")[0], signal.SIGKILL)

        until(lambda: len(pids(tmp_path / "one")) == 2)
        assert len(pids(tmp_path / "two")) == 1
        assert is_alive(pids(tmp_path / "two")[0])


def test_stopping_stops_all_and_is_no_failure(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        with supervised(folder, one=LIVES, two=LIVES) as running:
            until(lambda folder=folder: bool(pids(folder / "one")) and bool(pids(folder / "two")))  # type: ignore[misc]

            running.send_signal(number)

            assert running.wait(30) == 0
            assert not [pid for name in ("one", "two") for pid in pids(folder / name) if is_alive(pid)]


def test_what_dies_at_once_again_and_again_stops_all_and_is_a_failure(tmp_path: Path) -> None:
    with supervised(tmp_path, one=LIVES, two=DIES) as running:
        assert running.wait(30) == 1

        assert 3 <= len((tmp_path / "two").read_text().split()) <= 5
        assert not [pid for pid in pids(tmp_path / "one") if is_alive(pid)]
