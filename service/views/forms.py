"""What people type into pages, before it is a decision or an article."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from service import articles
from service.clusters import MOST_LISTED
from service.errors import Invalid
from service.models import ArticleStatus, RootCause, VerdictLabel
from service.review import Decision
from service.settle import is_failing

# PostgreSQL's integer; what is greater can be no id of ours and would fail there.
MOST_ID = 2**31 - 1


def typed_text(text: str) -> str:
    """Browsers send line ends as CRLF, which would look like a change; PostgreSQL cannot store NUL."""
    return text.replace("\r\n", "\n").replace("\x00", "\ufffd")


Typed = Annotated[str, AfterValidator(typed_text)]


class DecisionForm(BaseModel):
    """The decision as it was typed."""

    fence: int = Field(0, ge=0, le=MOST_ID)
    label: Typed = ""
    intent: Typed = ""
    picked: Typed = ""
    """One of the intents that are offered; what is typed goes before it."""
    question: Typed = ""
    answer: Typed = ""
    article: Typed = ""
    causes: list[Typed] = []
    comment: Typed = ""
    settling: Typed = ""
    """Not empty: the form showed look-alikes, so that none ticked means none."""
    listed: Typed = ""
    """Ids of the look-alikes that the form showed: those shown since then are ticked as at first."""
    settles: list[Typed] = []
    settles_failing: list[Typed] = []
    """Look-alikes with another answer: settled by a failing verdict alone."""

    def decision(self) -> Decision:
        """What it means.

        Raises
        ------
        Invalid
            No verdict is chosen, or a field holds what the form does not offer.
        """
        if not self.label:
            raise Invalid("Choose a verdict first: keys 1 to 6.")
        try:
            label, causes = VerdictLabel(self.label), tuple(RootCause(cause) for cause in self.causes)
            article_id = int(self.article) if self.article else None
        except ValueError as error:
            raise Invalid("The form holds a choice that it does not offer. Load the page again.") from error
        if article_id is not None and not 1 <= article_id <= MOST_ID:
            raise Invalid("There is no such article.")
        if article_id is not None and not self.answer.strip():
            article_id = None  # a choice of article without a text changes none
        return Decision(
            label=label,
            intent=self.intent.strip() or self.picked.strip() or None,
            answer=self.answer.strip() or None,
            question=self.question.strip() or None,
            article_id=article_id,
            causes=causes,
            comment=self.comment.strip() or None,
            settles=tuple(self.settled()),
        )

    def settled(self) -> list[int]:
        """Ids of the look-alikes that the verdict settles.

        Raises
        ------
        Invalid
            One is no id.
        """
        ids = [*self.settles, *(self.settles_failing if is_failing(self.label) else ())]
        if not all(one.isascii() and one.isdigit() and 1 <= int(one) <= MOST_ID for one in ids):
            raise Invalid("The form holds a look-alike that it does not offer. Load the page again.")
        return sorted({int(one) for one in ids})

    def look_alikes(self) -> int:
        """How many the form listed; as many as at first where it listed fewer."""
        return max(len(self.listed.split()), MOST_LISTED)

    def kept(self) -> dict[str, Any]:
        return self.model_dump(exclude={"fence"})

    def has_text(self) -> bool:
        return any(text.strip() for text in (self.intent, self.question, self.answer, self.comment))


_TEXTS = ("label", "intent", "picked", "question", "answer", "article", "comment", "settling", "listed")
_LISTS = ("causes", "settles", "settles_failing")


def from_draft(draft: Mapping[str, Any] | None) -> DecisionForm:
    """A draft may be another program's: what does not fit is passed over."""
    known = draft or {}
    texts = {name: value for name in _TEXTS if isinstance(value := known.get(name), str)}
    lists = {
        name: [one for one in value if isinstance(one, str)] for name in _LISTS if isinstance(value := known.get(name), list)
    }
    return DecisionForm(**texts, **lists)


class ArticleForm(BaseModel):
    """An article as it was typed; variants one a line."""

    question: Typed = ""
    variants: Typed = ""
    answer: Typed = ""
    intent: Typed = ""
    status: Typed = ArticleStatus.active.value
    expected_version: int | None = Field(None, ge=0, le=MOST_ID)

    def content(self) -> articles.Content:
        try:
            status = ArticleStatus(self.status)
        except ValueError as error:
            raise Invalid("Choose whether the article is a draft, active or paused.") from error
        lines = (line.strip() for line in self.variants.splitlines())
        return articles.Content(
            question=self.question.strip(),
            answer=self.answer.strip(),
            variants=tuple(dict.fromkeys(line for line in lines if line)),
            intent=self.intent.strip() or None,
            status=status,
        )
