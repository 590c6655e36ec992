"""The tables. They do not validate: never build a row straight from a payload (connectors/events.py reads payloads)."""

from service.models.people import ApiToken, ImportProgress, Reviewer, Scope, SignIn
from service.models.published import Article, ArticleStatus, ArticleVersion, Publication, PublicationState, SinkCursor
from service.models.received import Conversation, Delivery, DeliveryState, Feedback, Turn
from service.models.reviewed import Draft, ItemState, ReviewItem, RootCause, Round, Skip, Verdict, VerdictLabel
from service.models.scored import Evidence, Example, Exchange, LiveModel, Model, PlatformHistory, Vector

__all__ = [
    "ApiToken",
    "Article",
    "ArticleStatus",
    "ArticleVersion",
    "Conversation",
    "Delivery",
    "DeliveryState",
    "Draft",
    "Evidence",
    "Example",
    "Exchange",
    "Feedback",
    "ImportProgress",
    "ItemState",
    "LiveModel",
    "Model",
    "PlatformHistory",
    "Publication",
    "PublicationState",
    "ReviewItem",
    "Reviewer",
    "RootCause",
    "Round",
    "Scope",
    "SignIn",
    "SinkCursor",
    "Skip",
    "Turn",
    "Vector",
    "Verdict",
    "VerdictLabel",
]
