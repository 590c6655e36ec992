"""The `triage` command as real processes that start at once: each is forked from one that has imported the program already.

    worker = start(["worker"], environment, folder, folder / "worker.log")
    worker.kill()
    assert run(["migrate"], environment, folder).returncode == 0

Importing anew costs each process two seconds, which is most of what a test of many would take. That a bare
`python -m service` starts is for test_cli.py and test_supervise.py to see.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(
    [f"service.{name}" for name in ("cli", "app", "server", "worker", "triage", "scorers", "pulls", "imports", "watch")]
    + ["service.learn.intents", "service.learn.weights", "faiss"]
)


class Running:
    """A process that was started; still there at the end of the tests, it is ended with them."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def kill(self) -> None:
        """As the machine would: the process is told nothing. It is gone when this returns."""
        self._process.kill()
        self._process.join()

    def terminate(self) -> None:
        self._process.terminate()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int | None:
        """The exit code; None where it runs for longer than that."""
        self._process.join(seconds)
        return self._process.exitcode


def start(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Running:
    """`triage ARGUMENTS` with just this environment, in the folder; what it prints is added to `log`."""
    process = _FORKING.Process(
        target=_triage, args=(list(arguments), dict(environment), folder, os.devnull, log, log), daemon=True
    )
    process.start()
    return Running(process)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, given: bytes = b"", seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """`triage ARGUMENTS` to its end, with `given` as its standard input.

    Raises
    ------
    subprocess.TimeoutExpired
        It ran for longer; it is killed.
    """
    with tempfile.TemporaryDirectory() as told:
        reads, prints, complains = (Path(told) / name for name in ("in", "out", "err"))
        reads.write_bytes(given)
        process = _FORKING.Process(
            target=_triage, args=(list(arguments), dict(environment), folder, reads, prints, complains), daemon=True
        )
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), seconds)
        return subprocess.CompletedProcess(list(arguments), process.exitcode, prints.read_text(), complains.read_text())


def _triage(
    arguments: list[str], environment: dict[str, str], folder: Path, reads: Path | str, prints: Path, complains: Path
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate((reads, prints, complains)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)  # multiprocessing gives its processes an empty one
    if environment.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    from service.cli import main

    sys.argv = ["triage", *arguments]
    main()
