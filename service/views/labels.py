"""The page of labels that look like slips, and of those that were kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from scoring.intents import OUT_OF_SCOPE
from service.team.second_look import SEED, Kept, Suspect
from service.views.suggested import NONE_OF_THESE
from service.views.words import address, clip, fold, moment, sentence

LONG = 600
"""Characters of a question that are shown at once; of a neighbour a third."""


def labels_shown(
    found: Sequence[Suspect],
    kept: Sequence[Kept],
    counts: Mapping[str, int],
    intents: Mapping[str, Sequence[str]],
    source: str,
    page: int,
    size: int,
    typed: tuple[int, str] | None = None,
) -> dict[str, Any]:
    """`found` has one more than the page's size where there is a next page; `intents` are the known ones by source; `typed`: a
    label's id, and the intent that was typed for it and could not be taken."""
    shown = found[:size]
    here = {"source": source or None, "page": page if page > 1 else None}
    beside = [*(one.id for one in shown[1:]), shown[-2].id if len(shown) > 1 else None]
    total = counts.get(source, 0) if source else sum(counts.values())
    known = {name: number for number, name in enumerate(sorted(intents), 1)}
    return {
        "labels": [
            _label(one, here | {"next": then}, known[one.source], typed[1] if typed and typed[0] == one.id else None)
            for one, then in zip(shown, beside, strict=False)
        ],
        "kept": [
            {
                "text": clip(one.text, LONG // 3),
                "intent": one.intent,
                "suspected": one.suspected,
                "by": one.by,
                "at": moment(one.at),
                "source": one.source,
                "again": address(f"/labels/{one.id}/again", None, **here),
            }
            for one in kept
        ],
        "heading": f"{total:,} label{'' if total == 1 else 's'} to look at again",
        "tabs": [
            {
                "label": name or "All sources",
                "count": f"{count:,}",
                "href": address("/labels", source=name),
                "current": name == source,
            }
            for name, count in [("", sum(counts.values())), *counts.items()]
        ]
        if len(counts) > 1 or source
        else [],
        "lists": [
            {"id": f"intents-{known[name]}", "names": [one for one in intents[name] if one.casefold() not in OUT_OF_SCOPE]}
            for name in sorted(intents)
        ],
        "none": NONE_OF_THESE,
        "page": page,
        "before": address("/labels", source=source, page=page - 1) if page > 1 else None,
        "after": address("/labels", source=source, page=page + 1) if len(found) > size else None,
    }


def _label(one: Suspect, here: Mapping[str, str | int | None], names: int, typed: str | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "text": fold(one.text, LONG),
        "intent": one.intent,
        "suspected": one.suspected,
        "suspicion": f"{one.suspicion:.2f}",
        "by": None if one.given_by == SEED else one.given_by,
        "at": moment(one.given_at),
        "source": one.source,
        "item": one.item_id,
        "item_href": f"/items/{one.item_id}" if one.item_id else None,
        "near_own": [clip(text, LONG // 3) for text in one.near_own],
        "near_suspected": [clip(text, LONG // 3) for text in one.near_suspected],
        "refusal": sentence(one.refusal) if one.refusal else None,
        "keep": address(f"/labels/{one.id}/keep", None, **here),
        "change": address(f"/labels/{one.id}/change", None, **here),
        "list": f"intents-{names}",
        "typed": typed or "",
        "open": typed is not None,
    }
