"""The `triage` command as people and pipes use it: real processes, their exit codes, and what they print where."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import make_conversation, make_disliked, rows_of
from processes import run

from service.db import Database
from service.models import Conversation, ImportProgress, Reviewer, Turn
from service.settings import QueueSettings, Settings

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "faiss", "sentence_transformers", "sklearn", "transformers")
COMMANDS = [
    "",
    "serve",
    "worker",
    "run",
    "init",
    "migrate",
    "simulate",
    "replay",
    "forget",
    "forgotten",
    "scrub",
    "import",
    "score",
    "seed",
    "pull",
    "report",
    "search",
    "intents fit",
    "intents predict",
    "intents evaluate",
    "intents seed",
    "articles import",
    "models list",
    "models show",
    "models use",
    "models rollback",
    "models unpin",
    "models slips",
    "reviewer add",
    "reviewer password",
    "reviewer remove",
    "reviewer sessions",
    "reviewer sign-out",
    "reviewer tries",
    "token add",
    "token list",
    "token revoke",
]


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    return {
        **clean,
        "TRIAGE_DATABASE_URL": f"sqlite:///{folder}/triage.db",
        "TRIAGE_ENCODER": "hashing",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "200",
        **more,
    }


def triage(folder: Path, *args: object, given: str | bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
    return run(
        [str(one) for one in args], environment(folder, **more), folder, given.encode() if isinstance(given, str) else given
    )


def write(path: Path, *lines: Any) -> Path:
    content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


def stored(folder: Path, model: Any) -> list[Any]:
    db = Database(f"sqlite:///{folder}/triage.db")
    rows = rows_of(db, model)
    db.close()
    return rows


@pytest.fixture
def folder(sqlite_url: str, tmp_path: Path) -> Path:
    """With a migrated database in it."""
    return tmp_path


# --- starting -----------------------------------------------------------------------------------------------------


def test_every_command_explains_itself(tmp_path: Path) -> None:
    # One process for all: each start costs half a second.
    script = (
        "import sys; from typer.testing import CliRunner; from service.cli import app; runner = CliRunner()\n"
        f"for words in {COMMANDS!r}:\n"
        "    done = runner.invoke(app, [*words.split(), '--help'])\n"
        "    assert done.exit_code == 0 and 'Usage' in done.output and len(done.output) > 80, (words, done.output)\n"
        f"assert not [name for name in {HEAVY!r} if name in sys.modules], 'help loads models'\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["service.app", "service.cli", "service.publish", "connectors.registry"])
def test_the_web_side_never_loads_a_model(tmp_path: Path, module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path)

    assert done.stdout.strip() == "[]", done.stderr


def test_init_prepares_a_folder_and_may_be_repeated(tmp_path: Path) -> None:
    first, second = triage(tmp_path, "init"), triage(tmp_path, "init")

    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert oct((tmp_path / ".triage" / "local.toml").stat().st_mode)[-3:] == "600"
    assert oct((tmp_path / ".triage" / "sign-in.txt").stat().st_mode)[-3:] == "600"
    assert [r.name for r in stored(tmp_path, Reviewer)] == ["lead"]


@pytest.mark.parametrize(
    ("args", "more", "says"),
    [
        (["serve"], {}, "triage migrate"),
        (["import", "missing.jsonl"], {}, "triage migrate"),
        (["import", "--dry-run", "missing.jsonl"], {}, "missing.jsonl"),
        (["migrate"], {"TRIAGE_PORT": "many"}, "port"),
        (["migrate"], {"TRIAGE_SINKS": '{"x": {"secret_key": 1}}', "TRIAGE_QUEUE__CAPACITY": "0"}, "queue.capacity"),
        (["score", "missing.jsonl"], {}, "missing.jsonl"),
        (["score", "in.jsonl"], {"TRIAGE_ENCODER": "/nowhere/at-all"}, "nowhere"),
        (["score", "in.jsonl"], {"TRIAGE_SIGNALS_OFF": '["mood"]'}, "mood"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_1(tmp_path: Path, args: list[str], more: dict[str, str], says: str) -> None:
    write(tmp_path / "in.jsonl", make_conversation())

    done = triage(tmp_path, *args, **more)

    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# --- files --------------------------------------------------------------------------------------------------------


def test_import_stores_good_lines_and_its_exit_code_tells_of_bad_ones(folder: Path) -> None:
    good, bad = (
        write(folder / "good.jsonl.gz", make_conversation(3)),
        write(folder / "bad.jsonl", "x", make_conversation(2, "c2")),
    )

    fine, failed = triage(folder, "import", good), triage(folder, "import", bad)

    assert (fine.returncode, failed.returncode) == (0, 1)
    assert f"{bad}, line 1" in failed.stderr
    assert [c.external_id for c in stored(folder, Conversation)] == ["c1", "c2"]


def test_import_reads_standard_input_and_a_dry_run_stores_nothing(folder: Path) -> None:
    line = json.dumps(make_conversation(3))

    dry, piped = triage(folder, "import", "--dry-run", "-", given=line), triage(folder, "import", "-", given="\ufeff" + line)

    assert (dry.returncode, piped.returncode) == (0, 0)
    assert "1 conversations with 3 turns are readable" in dry.stderr
    assert len(stored(folder, Turn)) == 3


def test_an_import_that_is_killed_goes_on_where_it_stopped(folder: Path) -> None:
    file = write(folder / "in.jsonl", *(make_conversation(4, id=f"c{n}") for n in range(6000)))
    running = subprocess.Popen(
        [sys.executable, "-m", "service", "import", str(file)], env=environment(folder), cwd=folder, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not stored(folder, ImportProgress) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.wait()
    before = len(stored(folder, Conversation))

    done = triage(folder, "import", file)

    assert 0 < before < 6000
    assert (done.returncode, f"{before} lines were stored before" in done.stderr) == (0, True)
    assert (len(stored(folder, Conversation)), len(stored(folder, Turn))) == (6000, 24_000)


def test_score_is_a_filter(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl.gz", make_disliked("where is it", id="a"), "not json", make_conversation(4, id="b"))

    to_file = triage(tmp_path, "score", file, "-o", tmp_path / "out.jsonl")
    to_pipe = triage(tmp_path, "score", "-", given=gzip.decompress(file.read_bytes()))

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (to_file.returncode, to_pipe.returncode, to_file.stdout) == (1, 1, "")
    assert ", line 2" in to_file.stderr
    assert to_pipe.stdout == (tmp_path / "out.jsonl").read_text()
    assert [(line["conversation_id"], line["turn_id"]) for line in lines] == [("a", "a"), ("b", "t2"), ("b", "t4")]
    assert {"question", "answer", "follow_up", "priority", "signals", "versions"} <= set(lines[0])


def test_a_failed_score_leaves_no_half_written_file(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", make_conversation())

    done = triage(tmp_path, "score", "in.jsonl", "missing.jsonl", "-o", "out.jsonl")

    assert done.returncode == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_reader_that_has_enough_is_no_error_worth_a_traceback(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", *(make_conversation(40, id=f"c{n}") for n in range(30)))
    command = f"{sys.executable} -m service score {file} | head -n 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path)

    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_intents_are_fitted_predicted_and_evaluated(tmp_path: Path) -> None:
    said = {
        "refund": ["i want my money back", "money back please", "refund my money"],
        "hours": ["when open", "open today", "open now"],
    }
    train = write(tmp_path / "train.jsonl", *({"text": t, "intent": i} for i, texts in said.items() for t in texts), "no json")
    texts = write(tmp_path / "texts.jsonl", {"text": "my money"}, {"text": "the moon is cheese"})

    fitted = triage(tmp_path, "intents", "fit", train, "-o", tmp_path / "model")
    predicted = triage(tmp_path, "intents", "predict", tmp_path / "model", texts)
    evaluated = triage(tmp_path, "intents", "evaluate", tmp_path / "model", train)
    scored = triage(tmp_path, "score", "-", "--intents", tmp_path / "model", given=json.dumps(make_disliked("my money back")))

    assert [(done.returncode) for done in (fitted, predicted, evaluated, scored)] == [1, 0, 1, 0]  # 1: one bad line
    lines = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["my money", "the moon is cheese"]
    assert lines[0]["intent"] == lines[0]["ranking"][0]["name"] == "refund"
    assert all(0 <= line["confidence"] <= 1 and 0 <= line["out_of_scope"] <= 1 for line in lines)
    assert json.loads(evaluated.stdout)["examples"] == 6
    assert json.loads(scored.stdout)["versions"]["intents"]


def test_accounts_and_tokens_come_from_the_command_line(folder: Path) -> None:
    added = triage(folder, "reviewer", "add", "anna", "--password-stdin", given="a long password\n")
    short = triage(folder, "reviewer", "add", "ben", "--password-stdin", given="short\n")
    token = triage(folder, "token", "add", "script", "--scope", "review", "--reviewer", "anna")
    wrong = triage(folder, "token", "add", "other", "--scope", "everything")

    assert [done.returncode for done in (added, short, token, wrong)] == [0, 1, 0, 1]
    assert token.stdout.startswith("tt_")
    assert "everything" in wrong.stderr
    assert [r.name for r in stored(folder, Reviewer)] == ["anna"]


# --- settings -----------------------------------------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    told = (ROOT / "docs" / "settings.md").read_text()
    names = [*Settings.model_fields, *(f"queue.{name}" for name in QueueSettings.model_fields)]

    headings = {line.lstrip("# ").strip() for line in told.splitlines() if line.startswith("#")}

    assert [name for name in names if name not in headings] == []
    assert all(field.description for name, field in Settings.model_fields.items() if name != "queue")
