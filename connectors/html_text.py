"""HTML of messages as the text that a reader sees: line ends, lists and links stay."""

import html
import re
from html.parser import HTMLParser

_BLOCKS = frozenset(
    {"p", "div", "ul", "ol", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "section", "article", "hr"}
)
_UNSEEN = frozenset({"script", "style", "head", "title", "template"})
_LOOKS_LIKE_HTML = re.compile(r"<(?:/?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?|!--)>?")


def to_text(body: str) -> str:
    """Plain text stays as it is; tags go, entities become characters, a link's address stands behind its words."""
    if not _LOOKS_LIKE_HTML.search(body):
        return html.unescape(body) if "&" in body else body
    reader = _Reader()
    reader.feed(body)
    reader.close()
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._lists: list[int | None] = []
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self._item()
        elif tag == "a":
            self._links.append((told.get("href") or "", len(self.parts)))
        elif tag == "img":
            self.parts.append(f"[{told.get('alt') or 'image'}]")
        elif tag in _BLOCKS:
            self.parts.append("\n")
        if tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        elif tag == "a" and self._links:
            address, start = self._links.pop()
            words = "".join(self.parts[start:]).strip()
            if (
                address.startswith(("http://", "https://", "mailto:", "tel:"))
                and address.partition(":")[2].strip("/") not in words
            ):
                self.parts.append(f" ({address})")
        elif tag in _BLOCKS:
            self.parts.append("\n")
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(re.sub(r"\s+", " ", data) if "\n" in data else data)

    def _item(self) -> None:
        if self._lists and self._lists[-1] is not None:
            self._lists[-1] += 1
            self.parts.append(f"\n{self._lists[-1]}. ")
        else:
            self.parts.append("\n- ")
