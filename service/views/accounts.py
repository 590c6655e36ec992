"""Sessions, failed tries and tokens as pages show them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service.auth import OpenSession
from service.models import TryKind
from service.tokens import Token
from service.tries import Refused
from service.views.words import moment


def accounts_shown(
    sessions: Sequence[OpenSession], refused: Sequence[Refused], tokens: Sequence[Token], now: datetime
) -> dict[str, Any]:
    people = list(dict.fromkeys(one.reviewer for one in sessions))
    return {
        "people": [
            {"name": name, "sessions": sessions_shown([one for one in sessions if one.reviewer == name])} for name in people
        ],
        "tries": [_tries(one, now) for one in refused],
        "tokens": [_token(one) for one in tokens],
    }


def sessions_shown(sessions: Sequence[OpenSession]) -> list[dict[str, Any]]:
    return [
        {
            "began": moment(one.began_at),
            "seen": moment(one.seen_at),
            "ends": moment(one.expires_at),
            "address": one.address or "unknown",
        }
        for one in sessions
    ]


def _tries(one: Refused, now: datetime) -> dict[str, Any]:
    return {
        "account": "any" if one.kind == TryKind.address else one.name or "no account of this name",
        "address": one.address or "anywhere",
        "wrong": f"{one.wrong:,}",
        "refused": f"{one.refused:,}",
        "last": moment(one.tried_at),
        "waits": moment(one.free_at) if one.free_at > now else None,
    }


def _token(one: Token) -> dict[str, Any]:
    state = ("revoked", "calm") if one.revoked_at else ("valid", "good") if one.valid else ("no use any more", "calm")
    return {
        "name": one.name,
        "scopes": ", ".join(one.scopes),
        "reviewer": one.reviewer or "–",
        "used": moment(one.used_at),
        "ends": moment(one.expires_at),
        "state": state[0],
        "weight": state[1],
        "revocable": one.revoked_at is None,
    }
