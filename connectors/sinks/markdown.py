"""A folder of Markdown files with YAML front matter, one an article: readable, diffable, fit for a git repository.

Each file carries the digest of what we wrote. A file that no longer matches its digest was edited by somebody: it is
reported as a change and never overwritten.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import frontmatter
import yaml

from connectors.articles import Article, Change, Receipt
from connectors.errors import Reject, Retry

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class MarkdownSink:
    def __init__(self, path: str) -> None:
        self._folder = Path(path)

    def upsert(self, article: Article, key: str) -> Receipt:
        target = self._file(article.key)
        present = self._read(target) if target.exists() else None
        if present is not None:
            edited = _is_edited(present)
            # What somebody wrote by hand and we took over is the same text: it only gets our version and digest.
            if edited and _digest(present) != _digest(_page(article)):
                raise Reject(f"{target.name} was edited since version {_version(present)} was written", conflict=True)
            same = _version(present) == article.version and _digest(present) == _digest(_page(article))
            if not edited and (same or _version(present) > article.version):
                return Receipt(target.name)
        page = _page(article)
        page["digest"] = _digest(page)
        self._write(target, frontmatter.dumps(page) + "\n")
        return Receipt(target.name)

    def changes(self, cursor: str | None) -> tuple[Sequence[Change], str]:
        """The cursor holds the digest of each edited file that was reported already; unreadable files wait."""
        seen: dict[str, str] = json.loads(cursor) if cursor else {}
        now: dict[str, str] = {}
        found = []
        for file in sorted(self._folder.glob("*.md")):
            try:
                page = self._read(file)
                if not _is_edited(page):
                    continue
                now[file.name] = _digest(page)
                if seen.get(file.name) != now[file.name]:
                    found.append(Change(read_page(page, file.stem), _version(page) if "digest" in page else None))
            except Reject:  # half-edited: it is looked at again next time, and a push onto it is a conflict
                continue
        return found, json.dumps(now, sort_keys=True)

    def check(self) -> str | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                return None
        except OSError as error:
            return f"the folder {self._folder} cannot be written to: {error.strerror}"

    def _file(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise Reject(f"the key '{key[:40]}' cannot be a file name: use letters, digits, '.', '_' and '-'")
        return self._folder / f"{key}.md"

    def _read(self, file: Path) -> frontmatter.Post:
        try:
            return frontmatter.loads(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, TypeError) as error:  # YAML raises the latter two for dates and keys that are none
            raise Reject(f"{file.name} cannot be read: its front matter is broken", conflict=True) from error
        except OSError as error:
            raise Retry(f"{file.name} cannot be read: {error.strerror}") from error

    def _write(self, target: Path, content: str) -> None:
        """All or nothing: written beside, flushed to disk, then renamed over the old file."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._folder, prefix=".", suffix=".tmp", delete=False, encoding="utf-8", newline="\n"
            ) as beside:
                beside.write(content)
                beside.flush()
                os.fsync(beside.fileno())
            Path(beside.name).chmod(0o644)
            Path(beside.name).replace(target)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Retry(f"the folder {self._folder} cannot be written to: {error.strerror}") from error


def read_page(page: frontmatter.Post, key: str) -> Article:
    """The article that a Markdown page holds; without a question in the front matter, its first heading is the question."""
    body = page.content.strip()
    question = page.get("question")
    if not question:
        heading = re.match(r"#{1,3}[ \t]+(.+)\n?", body)
        if not heading:
            raise Reject("no question: give the front matter a 'question' or the text a heading")
        question, body = heading.group(1).strip(), body[heading.end() :].strip()
    if not body:
        raise Reject("no answer: the text is empty")
    variants = page.get("variants") or []
    if not isinstance(variants, list):
        raise Reject("variants: must be a list")
    intent = page.get("intent")
    return Article(
        key=str(page.get("key") or key),
        version=_version(page),
        question=str(question),
        answer=body,
        variants=tuple(str(variant) for variant in variants),
        intent=str(intent) if intent else None,
        active=page.get("status", "active") == "active",
    )


def _page(article: Article) -> frontmatter.Post:
    meta: dict[str, Any] = {
        "key": article.key,
        "question": article.question,
        "version": article.version,
        "status": "active" if article.active else "paused",
    }
    if article.variants:
        meta["variants"] = list(article.variants)
    if article.intent:
        meta["intent"] = article.intent
    if article.changed_at:
        meta["changed_at"] = article.changed_at.isoformat(timespec="seconds")
    # Files are read with any line end as \n: written otherwise, our own would look edited.
    return frontmatter.Post("\n".join(article.answer.strip().replace("\r\n", "\n").split("\r")), **meta)


def _version(page: frontmatter.Post) -> int:
    version = str(page.get("version") or 0)
    return int(version) if version.isdigit() else 0


def _is_edited(page: frontmatter.Post) -> bool:
    return page.get("digest") != _digest(page)


def _digest(page: frontmatter.Post) -> str:
    """Of what a person may edit: not of the version and the time, which are ours."""
    told = {name: page.get(name) for name in ("key", "question", "variants", "intent", "status")}
    return hashlib.sha256(json.dumps([told, page.content.strip()], sort_keys=True, default=str).encode()).hexdigest()[:32]
