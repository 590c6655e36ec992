"""Why was this request refused? Tries what usually goes wrong, one thing at a time and then two, and names what fits.

Pure: it stores and sends nothing. What it says holds no secret and none of the body.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Literal

from connectors.errors import Reject
from connectors.events import Source
from connectors.reading import Signing
from connectors.signatures import Algorithm, Encoding, Hmac, Scheme, SharedHeader, StandardWebhooks, read_time, same

Part = Literal["fine", "secret", "timestamp", "body", "header", "encoding", "scheme", "unknown"]
SIGNED = (
    "{body}", "{timestamp}.{body}", "{timestamp}{body}", "{timestamp}:{body}", "{timestamp}\n{body}", "v0:{timestamp}:{body}",
    "v1:{timestamp}:{body}", "{body}{timestamp}", "{body}.{timestamp}",
)  # fmt: skip
_PREFIXES = ("", "sha256=", "sha1=", "v0=", "v1=", "v1,", "hmac ", "HMAC ", "Bearer ", "bearer ")
_LARGE = 262_144
"""Bytes; of larger bodies only one thing is tried at a time."""
_TIMED = ("timestamp", "time", "date")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off, as a sentence for the person who can mend it."""

    part: Part
    says: str


@dataclass(frozen=True, slots=True)
class _Try:
    """A variation of the request or of what we know: what it stands for, and the thing in its place."""

    part: Part
    says: str
    value: object


def diagnose(
    source: Source,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    received_at: datetime | None,
    others: Mapping[str, Sequence[str]] | None = None,
) -> list[Finding]:
    """What is off with the request, the surest first; never empty.

    `received_at` None: nobody knows, so its age is not judged. `others`: the secrets of other sources, by their names.
    """
    told = {name.strip().lower(): value.strip() for name, value in headers.items()}
    scheme = source.scheme if isinstance(source, Signing) else None
    now = received_at or _time_of(scheme, told) or datetime.fromtimestamp(0).astimezone()
    try:
        source.verify(told, body, secrets, now)
    except Reject as error:
        if scheme is None:
            return [Finding("unknown", f"{error.reason}. This source does not say how it signs, so nothing more can be tried.")]
        return list(_missing(scheme, told, body, secrets)) or _tried(scheme, told, body, secrets, received_at, others or {})
    return [Finding("fine", "The signature holds: this request would be accepted.")]


def diagnose_names(source: Source, names: Sequence[str]) -> list[Finding]:
    """What the names of a refused request's headers alone tell; empty where all that is needed was there."""
    if not isinstance(source, Signing):
        return []
    return list(_missing(source.scheme, {name.lower(): "?" for name in names}, b"", ()))


def _missing(scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Iterator[Finding]:
    """Headers that are not there, and under which other name they came."""
    for name in scheme.needs:
        if headers.get(name):
            continue
        renamed = next((other for other in headers if _alike(other, name)), None) or next(
            (other for other in headers if _holds({**headers, name: headers[other]}, scheme, body, secrets)), None
        )
        if renamed:
            yield Finding(
                "header", f"The header {name} is missing; '{renamed}' holds it. The sender or a proxy gives it another name."
            )
        elif name in headers:
            yield Finding("header", f"The header {name} is empty.")
        else:
            known = ", ".join(sorted(other for other in headers if _is_telling(other)))
            seen = f" Headers like it that came: {known}." if known else ""
            yield Finding(
                "header", f"The header {name} is missing: the platform does not sign, or a proxy drops the header.{seen}"
            )


def _tried(
    scheme: Scheme,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    received_at: datetime | None,
    others: Mapping[str, Sequence[str]],
) -> list[Finding]:
    found = list(_age(scheme, headers, received_at))
    keys = list(_keys(secrets, others))
    bodies = [_Try("body", "", body), *_bodies(body)]
    schemes = [_Try("scheme", "", scheme), *_schemes(scheme, headers)]
    changes = [
        (s, k, b)
        for s, k, b in product(schemes, keys, bodies)
        if sum(bool(one.says) for one in (s, k, b)) <= (2 if len(body) <= _LARGE else 1)
    ]
    for change in sorted(changes, key=lambda some: sum(bool(one.says) for one in some)):
        s, k, b = change
        assert isinstance(b.value, bytes)
        if _fits(s.value, headers, b.value, k.value):
            return found + [Finding(one.part, one.says) for one in change if one.says]
    if found:
        return found
    advice = "The secret here is not the one that the platform signs with: copy it again, without blanks, on both sides."
    return [Finding("secret", f"No variation of body, encoding or scheme fits. {advice}")]


def _age(scheme: Scheme, headers: Mapping[str, str], received_at: datetime | None) -> Iterator[Finding]:
    name = _time_header(scheme)
    if name is None:
        return
    given, at = headers.get(name, ""), read_time(headers.get(name, ""))
    window: timedelta = getattr(scheme, "window", timedelta())
    if at is None or at.year > 2500:
        kind = "milliseconds: it must be seconds" if given.isdigit() and len(given) == 13 else "no time in unix seconds"
        yield Finding("timestamp", f"The header {name} holds {kind}.")
    elif received_at is not None and abs(received_at - at) > window:
        way = "before" if at < received_at else "after"
        seconds = abs(received_at - at).total_seconds()
        advice = "A clock is wrong, or the platform sent it again with its first signature (see replay_window_seconds)."
        yield Finding(
            "timestamp", f"It was signed {seconds:.0f} s {way} it came; {window.total_seconds():.0f} s are allowed. {advice}"
        )


def _keys(secrets: Sequence[str], others: Mapping[str, Sequence[str]]) -> Iterator[_Try]:
    """The secrets as they are, as they may have been meant, and those of other sources."""
    variations: list[tuple[str, Callable[[str], str | bytes]]] = [
        ("", lambda s: s),
        ("The secret here has blanks or quotes around it that do not belong to it.", lambda s: s.strip().strip("\"'").strip()),
        ("The secret was signed with a line end behind it: it was read from a file on the platform's side.", lambda s: s + "\n"),
        ("The platform signs with what the secret's Base64 stands for.", lambda s: base64.b64decode(_bare(s), validate=True)),
        ("The platform signs with what the secret's hexadecimal digits stand for.", bytes.fromhex),
        ("The platform signs with the secret without its 'whsec_'.", _bare),
        ("The secret is not Base64, and the platform signs with its letters as they are.", lambda s: s.encode()),
        (
            "The platform signs with its letters after 'whsec_' as they are, not with what their Base64 stands for.",
            lambda s: _bare(s).encode(),
        ),
    ]
    for says, change in variations:
        for secret in secrets:
            try:
                yield _Try("secret", says, change(secret))
            except (ValueError, binascii.Error):
                continue
    for name, held in others.items():
        for secret in held:
            if secret not in secrets:
                yield _Try(
                    "secret",
                    f"It is signed with the secret of the source '{name}': the address or the secret is the wrong one.",
                    secret,
                )


def _bare(secret: str) -> str:
    return secret.strip().removeprefix("whsec_")


def _bodies(body: bytes) -> Iterator[_Try]:
    """What a proxy, a framework or an editor makes of a body."""
    way = "The body is not the one that was signed: "
    plain: list[tuple[str, bytes]] = [
        ("a line end was added behind it.", body.removesuffix(b"\n").removesuffix(b"\r")),
        ("line ends were added behind it.", body.rstrip(b"\r\n")),
        ("the line end behind it is gone.", body + b"\n"),
        ("its line ends were changed to CR LF.", body.replace(b"\r\n", b"\n")),
        ("its line ends were changed to LF.", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
        ("a byte-order mark was put before it.", body.removeprefix(b"\xef\xbb\xbf")),
    ]
    for says, told, meant in (("Latin-1", "utf-8", "latin-1"), ("UTF-8", "latin-1", "utf-8")):
        try:
            plain.append((f"it was signed as {says} and read in another charset.", body.decode(told).encode(meant)))
        except UnicodeError:
            continue
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if value is not None:
        again = "its JSON was read and written anew on the way: verify and pass on the raw bytes"
        for ascii_, order, spaces in product((False, True), (False, True), (None, (",", ":"), 2, 1, 4)):
            layout: dict[str, object] = {"indent": spaces} if isinstance(spaces, int) else {"separators": spaces}
            text = json.dumps(value, ensure_ascii=ascii_, sort_keys=order, **layout)  # type: ignore[arg-type]
            plain += [(f"{again}.", one.encode(errors="replace")) for one in (text, text.replace("/", "\\/"), text + "\n")]
    for says, changed in plain:
        if changed != body:
            yield _Try("body", way + says, changed)
    if body:
        yield _Try("body", way + "the signature is that of an empty body.", b"")


def _schemes(scheme: Scheme, headers: Mapping[str, str]) -> Iterator[_Try]:
    """Other ways to sign what this header holds."""
    if isinstance(scheme, SharedHeader):
        for prefix in _PREFIXES:
            if prefix != scheme.prefix:
                says = (
                    f"Before the secret the header {scheme.header} holds '{prefix.strip()}'."
                    if prefix
                    else "The header holds the bare secret."
                )
                yield _Try("encoding", says, SharedHeader(scheme.header, prefix))
        for kind in _schemes(Hmac(scheme.header, prefix="?"), headers):
            yield _Try("scheme", f"The header {scheme.header} holds a signature, not the secret. {kind.says}", kind.value)
        return
    if isinstance(scheme, StandardWebhooks):
        header, own = (
            "webhook-signature",
            Hmac("webhook-signature", encoding="base64", prefix="v1,", signed="?", timestamp_header="webhook-timestamp"),
        )
    elif isinstance(scheme, Hmac):
        header, own = scheme.header, scheme
        yield _Try(
            "scheme",
            f"The header {header} holds the secret itself: the platform does not sign.",
            SharedHeader(header, scheme.prefix),
        )
    else:
        return
    timed = [
        own.timestamp_header,
        *(name for name in headers if any(word in name for word in _TIMED) and name != own.timestamp_header),
    ]
    algorithms: tuple[Algorithm, ...] = ("sha256", "sha1")
    encodings: tuple[Encoding, ...] = ("hex", "base64")
    for algorithm, encoding, prefix, signed, name in product(algorithms, encodings, _PREFIXES, SIGNED, timed):
        if ("{timestamp}" in signed) != (name is not None) and not (name == own.timestamp_header and "{timestamp}" not in signed):
            continue
        other = replace(own, algorithm=algorithm, encoding=encoding, prefix=prefix, signed=signed, timestamp_header=name)
        if other != own and headers.get(header, "").startswith(prefix):
            only_spelling = (
                other.algorithm == own.algorithm and other.signed == own.signed and other.timestamp_header == own.timestamp_header
            )
            yield _Try("encoding" if only_spelling else "scheme", _named(other), other)


def _named(scheme: Hmac) -> str:
    over = scheme.signed.replace("{", "").replace("}", "").replace("\n", "\\n")
    timed = f" with the time of {scheme.timestamp_header}" if "{timestamp}" in scheme.signed else ""
    before = f" after '{scheme.prefix.strip()}'" if scheme.prefix else ""
    return f"The platform signs otherwise: HMAC-{scheme.algorithm.upper()} in {scheme.encoding}{before}, over {over}{timed}."


def _fits(scheme: object, headers: Mapping[str, str], body: bytes, key: object) -> bool:
    """Is the signature right, whatever its time?"""
    assert isinstance(key, str | bytes)
    if isinstance(scheme, StandardWebhooks):
        if isinstance(key, bytes):  # its package takes Base64 only
            key = base64.b64encode(key).decode()
        at = read_time(headers.get("webhook-timestamp", ""))
        try:
            return at is not None and scheme.verify(headers, body, [key], at) is not None
        except Reject:
            return False
    if isinstance(scheme, SharedHeader):
        return isinstance(key, str) and same(scheme.prefix + key, headers.get(scheme.header, ""))
    if isinstance(scheme, Hmac):
        given = headers.get(scheme.header, "")
        if not given.startswith(scheme.prefix):
            return False
        signature = given.removeprefix(scheme.prefix)
        timestamp = headers.get(scheme.timestamp_header, "") if scheme.timestamp_header else ""
        return same(scheme.digest(body, key, timestamp), signature.lower() if scheme.encoding == "hex" else signature)
    return False


def _holds(headers: Mapping[str, str], scheme: Scheme, body: bytes, secrets: Sequence[str]) -> bool:
    return any(_fits(scheme, headers, body, secret) for secret in secrets)


def _time_header(scheme: Scheme | None) -> str | None:
    if isinstance(scheme, StandardWebhooks):
        return "webhook-timestamp"
    return scheme.timestamp_header if isinstance(scheme, Hmac) else None


def _time_of(scheme: Scheme | None, headers: Mapping[str, str]) -> datetime | None:
    return read_time(headers.get(_time_header(scheme) or "", ""))


def _alike(name: str, wanted: str) -> bool:
    """The same but for how it is written: `HTTP_X_HUB_SIGNATURE`, `hub-signature`, `svix-id`."""

    def bare(one: str) -> str:
        words: Iterable[str] = one.replace("_", "-").split("-")
        return "".join(word for word in words if word not in ("http", "x", "svix", "webhook"))

    return name != wanted and bare(name) == bare(wanted)


def _is_telling(name: str) -> bool:
    return any(word in name for word in ("sign", "hmac", "secret", "hook", "token", "api-key"))
