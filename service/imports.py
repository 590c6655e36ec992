"""Files into rows: transcripts (resumable), articles and labelled examples. A bad line is reported, good ones go in."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import frontmatter
import yaml
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select
from sqlmodel import Session, col

from connectors.errors import Reject, explain
from connectors.events import Conversation, Id, Text, events_of
from connectors.files import STANDARD, open_bytes, read_lines
from connectors.formats.base import Read
from connectors.formats.readers import Options, Plan, plan
from connectors.sinks.markdown import read_page
from service import articles
from service.db import Database, insert_into
from service.ingest import store
from service.models import Article, ArticleStatus, ImportProgress
from service.privacy import Redact
from service.review import learn_example
from service.seeds import read_examples
from service.told import gather

BATCH = 200
Report = Callable[[str], None]
Advance = Callable[[int], None]


@dataclass(slots=True)
class Imported:
    """What came of a file. `bad` holds one sentence a line that could not be read."""

    conversations: int = 0
    turns: int = 0
    skipped: int = 0
    """Lines that an earlier, interrupted import of the same file had stored."""
    bad: list[str] = field(default_factory=list)
    unit: str = "line"
    """What the file's readable parts are: lines, or items of a JSON array."""
    example: Conversation | None = None
    """The first conversation that could be read."""


class ArticleLine(BaseModel):
    id: Id | None = None
    question: Annotated[Text, Field(min_length=1)]
    answer: Annotated[Text, Field(min_length=1)]
    variants: list[Text] = []
    intent: Text | None = None
    status: ArticleStatus = ArticleStatus.active


def import_transcripts(
    db: Database | None,
    source: str,
    path: str,
    redact: Redact,
    settle: timedelta,
    now: datetime,
    report: Report = lambda line: None,
    advance: Advance = lambda size: None,
    options: Options = Options(),
    planned: Callable[[Plan], None] = lambda way: None,
) -> Imported:
    """Store a file's conversations, as a webhook would have; without a database it only checks them (dry run).

    Progress is saved with each batch: the same file, started again in the same way after an interruption, goes on where it
    stopped. `planned` is told how the file will be read before anything is stored, `report` of each bad line, `advance` how many
    bytes were done.

    Raises
    ------
    Reject
        The file cannot be opened, or not be told how to read.
    """
    done = Imported()
    digest = None if path == STANDARD else _fingerprint(path)
    with open_bytes(path) as opened:
        way = plan(opened, path, options)
        done.unit = way.unit
        planned(way)
        name = _progress_name(digest, way) if digest else None
        start = _lines_done(db, name, source) if db and name else 0
        batch: list[Read] = []
        last = 0
        for read in way.read():
            advance(read.size)
            last = max(last, read.number)
            if isinstance(read.told, Reject):
                done.bad.append(f"{path}, {way.unit} {read.number}: {read.told.reason}")
                report(done.bad[-1])
                continue
            done.example = done.example or read.told
            if read.number <= start:
                done.skipped += 1
                continue
            done.conversations += read.first == 0
            done.turns += len(read.told.turns)
            batch.append(read)
            if len(batch) >= BATCH:
                _store(db, source, batch, redact, settle, now, name, read.number)
                batch = []
        _store(db, source, batch, redact, settle, now, name, last)
    return done


def _store(
    db: Database | None,
    source: str,
    batch: Sequence[Read],
    redact: Redact,
    settle: timedelta,
    now: datetime,
    name: str | None,
    lines: int,
) -> None:
    if db is None:
        return
    conversations = [(read.told, read.first) for read in batch if isinstance(read.told, Conversation)]
    told = gather((event for conversation, first in conversations for event in events_of(conversation, first)), redact)
    with db.write() as session:
        store(session, source, told, settle, now)
        if name:
            insert = insert_into(session, ImportProgress).values(file_digest=name, source=source, lines=lines, updated_at=now)
            session.execute(
                insert.on_conflict_do_update(index_elements=["file_digest", "source"], set_={"lines": lines, "updated_at": now})
            )


def _progress_name(digest: str, way: Plan) -> str:
    """The same file read in another way is another import."""
    if way.format == "jsonl":
        return digest
    table = way.table
    how = (way.format, table and (table.encoding, table.delimiter, table.time_format, table.columns))
    return hashlib.sha256(f"{digest} {how!r}".encode()).hexdigest()


def _lines_done(db: Database, name: str, source: str) -> int:
    with db.read() as session:
        progress = session.get(ImportProgress, (name, source))
        return progress.lines if progress else 0


def _fingerprint(path: str) -> str | None:
    """Names the file by its content: a changed file is another file and is read from its start."""
    if not Path(path).is_file():
        return None  # a pipe can be read only once; of what is not there, open_bytes says so
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    except OSError:
        return None  # open_bytes says what is wrong
    return digest.hexdigest()


# --- articles -----------------------------------------------------------------------------------------------------


def import_articles(db: Database, paths: Sequence[str], sinks: Sequence[str], now: datetime) -> tuple[int, int, list[str]]:
    """Articles from Markdown files or folders, CSV (question, answer, and optionally id, variants separated by '|',
    intent, status) or JSON Lines: (made or changed, unchanged, what could not be read). The id names the article."""
    saved = unchanged = 0
    bad: list[str] = []
    for path in paths:
        for where, read in _read_articles(path):
            if isinstance(read, Reject):
                bad.append(f"{where}: {read.reason}")
                continue
            with db.write() as session:
                if _save(session, read, sinks, now):
                    saved += 1
                else:
                    unchanged += 1
    return saved, unchanged, bad


def _save(session: Session, line: ArticleLine, sinks: Sequence[str], now: datetime) -> bool:
    known = None
    if line.id is not None:
        known = session.execute(select(Article).where(col(Article.key) == line.id)).scalar_one_or_none()
    else:  # without an id the question names the article, so that a second import changes nothing
        known = session.execute(select(Article).where(col(Article.question) == line.question).limit(1)).scalar_one_or_none()
    before = known.version if known else 0
    content = articles.Content(line.question, line.answer, tuple(line.variants), line.intent, line.status)
    after = articles.save_article(session, content, sinks, now, "import", known.id if known else None, key=line.id)
    return after.version != before


def _read_articles(path: str) -> Iterator[tuple[str, ArticleLine | Reject]]:
    place = Path(path)
    if place.is_dir():
        for file in sorted(place.rglob("*.md")):
            yield str(file), _read_markdown(file)
    elif place.suffix.lower() in (".md", ".markdown"):
        yield path, _read_markdown(place)
    elif place.suffix.lower() == ".csv":
        yield from _read_csv(path)
    else:
        with open_bytes(path) as opened:
            for number, line, _ in read_lines(opened, ArticleLine):
                yield f"{path}, line {number}", line


def _read_markdown(file: Path) -> ArticleLine | Reject:
    try:
        article = read_page(frontmatter.loads(file.read_text(encoding="utf-8")), file.stem)
        return ArticleLine(
            id=article.key,
            question=article.question,
            answer=article.answer,
            variants=list(article.variants),
            intent=article.intent,
            status=ArticleStatus.active if article.active else ArticleStatus.paused,
        )
    except Reject as error:
        return error
    except ValidationError as error:
        return Reject(explain(error))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        return Reject(f"cannot be read: {type(error).__name__}")


def _read_csv(path: str) -> Iterator[tuple[str, ArticleLine | Reject]]:
    with open_bytes(path) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="")
        rows = csv.DictReader(text)
        try:
            if missing := {"question", "answer"} - set(rows.fieldnames or ()):
                yield path, Reject(f"the header lacks the column {' and '.join(sorted(missing))}")
                return
            for row in rows:
                filled = {key: value for key, value in row.items() if key and value}
                variants = [v.strip() for v in filled.pop("variants", "").split("|") if v.strip()]
                try:
                    yield f"{path}, line {rows.line_num}", ArticleLine.model_validate({**filled, "variants": variants})
                except ValidationError as error:
                    yield f"{path}, line {rows.line_num}", Reject(explain(error))
        except (csv.Error, UnicodeDecodeError) as error:
            yield f"{path}, line {rows.line_num + 1}", Reject(f"cannot be read: {error}")


# --- labelled examples --------------------------------------------------------------------------------------------


def import_examples(db: Database, source: str, paths: Sequence[str], now: datetime) -> tuple[int, list[str]]:
    """Seeds for our own intent model of a source, from any file that service/seeds.py reads: (how many, what could not be
    read). A file is stored in one transaction: interrupted, it leaves nothing."""
    taken = 0
    bad: list[str] = []
    for path in paths:
        found = list(read_examples(path))
        with db.write() as session:
            for read in found:
                if isinstance(read.example, Reject):
                    bad.append(f"{read.where}: {read.example.reason}")
                    continue
                learn_example(session, source, read.example.text, read.example.intent, now)
                taken += 1
    return taken, bad
