"""What the page before forgetting shows."""

from typing import Any

from service.forgetting.erase import Going


def going_shown(going: Going) -> dict[str, Any]:
    """What goes, what stays without words, and the articles that a person may want to reword."""
    goes = [
        (going.turns, "turn", "turns"),
        (going.ratings, "rating's comment", "ratings' comments"),
        (going.open_items, "open item, which leaves the queue", "open items, which leave the queue"),
        (going.drafts, "reviewer's draft", "reviewers' drafts"),
        (going.comments, "comment of a reviewer", "comments of reviewers"),
        (going.examples, "labelled example", "labelled examples"),
        (going.bodies, "kept delivery that could not be read", "kept deliveries that could not be read"),
    ]
    stays = [(going.exchanges, "exchange's score", "exchanges' scores"), (going.verdicts, "verdict's label", "verdicts' labels")]
    return {
        "goes": [_counted(*one) for one in goes if one[0]],
        "stays": [_counted(*one) for one in stays if one[0]],
        "articles": [{"href": f"/articles/{key}", "key": name} for key, name in going.articles],
    }


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
