"""The tables. They do not validate: never build a row straight from a payload (connectors/events.py reads payloads)."""

from service.models.foreseen import Impact, ImpactState, Watch, Watched
from service.models.people import ApiToken, ImportProgress, KnownAddress, Reviewer, Scope, SignIn, SignInTry, TryKind
from service.models.published import Article, ArticleStatus, ArticleVersion, Publication, PublicationState, SinkCursor
from service.models.pulled import PullCursor
from service.models.received import Conversation, Delivery, DeliveryCount, DeliveryState, Feedback, ForgottenBecause, Turn
from service.models.reviewed import Draft, ItemState, ReviewItem, RootCause, Round, Skip, Verdict, VerdictLabel
from service.models.scored import Evidence, Example, Exchange, LiveModel, Model, PlatformHistory, Vector
from service.models.searched import SavedFilter, Searchable, SearchRequest
from service.models.team import Calibration, Comment, KnownItem, Mention, NamedQueue, Opinion, OpinionKind, SecondLook

__all__ = [
    "ApiToken",
    "Article",
    "ArticleStatus",
    "ArticleVersion",
    "Calibration",
    "Comment",
    "Conversation",
    "Delivery",
    "DeliveryCount",
    "DeliveryState",
    "Draft",
    "Evidence",
    "Example",
    "Exchange",
    "Feedback",
    "ForgottenBecause",
    "Impact",
    "ImpactState",
    "ImportProgress",
    "ItemState",
    "KnownAddress",
    "KnownItem",
    "LiveModel",
    "Mention",
    "Model",
    "NamedQueue",
    "Opinion",
    "OpinionKind",
    "PlatformHistory",
    "Publication",
    "PublicationState",
    "PullCursor",
    "ReviewItem",
    "Reviewer",
    "RootCause",
    "Round",
    "SavedFilter",
    "Scope",
    "SearchRequest",
    "Searchable",
    "SecondLook",
    "SignIn",
    "SignInTry",
    "SinkCursor",
    "Skip",
    "TryKind",
    "Turn",
    "Vector",
    "Verdict",
    "VerdictLabel",
    "Watch",
    "Watched",
]
