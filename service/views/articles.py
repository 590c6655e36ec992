"""Articles as pages show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.articles import History
from service.errors import Conflict, TriageError
from service.models import Article, ArticleStatus, PublicationState
from service.views.forms import ArticleForm
from service.views.words import ORIGINS, PUBLICATION_STATES, clip, moment, sentence


def article_line(article: Article, troubled: Mapping[int, str]) -> dict[str, Any]:
    return {
        "href": f"/articles/{article.id}",
        "question": clip(article.question, 160),
        "answer": clip(article.answer, 200),
        "intent": article.intent,
        "status": article.status,
        "version": article.version,
        "updated": moment(article.updated_at),
        "trouble": troubled.get(article.id or 0),
    }


def article_shown(
    history: History,
    intents: list[str],
    sinks: Sequence[str],
    typed: ArticleForm | None = None,
    error: TriageError | None = None,
) -> dict[str, Any]:
    article = history.article
    form = typed or ArticleForm(
        question=article.question,
        variants="\n".join(article.variants),
        answer=article.answer,
        intent=article.intent or "",
        status=article.status,
    )
    return {
        "article": {
            "id": article.id,
            "key": article.key,
            "question": article.question,
            "variants": article.variants,
            "answer": article.answer,
            "intent": article.intent,
            "status": article.status,
            "version": article.version,
            "updated": moment(article.updated_at),
        },
        "form": form.model_copy(update={"expected_version": article.version}),
        "error": sentence(str(error)) if error else None,
        "conflict": isinstance(error, Conflict),
        "intents": intents,
        "statuses": list(ArticleStatus),
        "sinks": list(sinks),
        "versions": [
            {
                "version": version.version,
                "origin": ORIGINS.get(version.origin, version.origin),
                "reviewer": name,
                "at": moment(version.changed_at),
                "status": version.status,
                "question": version.question,
                "variants": version.variants,
                "answer": version.answer,
                "intent": version.intent,
                "item_href": f"/items/{item_id}" if item_id else None,
            }
            for version, name, item_id in history.versions
        ],
        "publications": [
            {
                "id": publication.id,
                "sink": publication.sink,
                "version": version,
                "state": PUBLICATION_STATES[PublicationState(publication.state)][0],
                "weight": PUBLICATION_STATES[PublicationState(publication.state)][1],
                "receipt": publication.receipt,
                "error": publication.error,
                "attempts": publication.attempts,
                "published": moment(publication.published_at),
                "due": moment(publication.due_at) if publication.attempts else None,
                "can_retry": publication.state in (PublicationState.failed, PublicationState.conflict),
            }
            for publication, version in history.publications
        ],
    }
