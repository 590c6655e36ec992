"""How platforms prove that a request is theirs: one scheme each, verified on the raw bytes and in constant time.

The same object signs, for test deliveries, and holds what the doctor (connectors/doctor.py) compares a request with.
Header names are lower case. No reason contains a secret.
"""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from connectors.errors import Reject
from connectors.events import MAX_ID_LENGTH

WINDOW = timedelta(minutes=5)
Algorithm = Literal["sha256", "sha1"]
Encoding = Literal["hex", "base64"]


class Scheme(Protocol):
    """One way of signing."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The headers without which nothing can be verified."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> datetime | None:
        """When the request was signed; None where the scheme signs no time.

        Raises
        ------
        Reject
            A header is missing or unreadable, the time is too far away, or no secret fits.
        """
        ...

    def sign(self, body: bytes, secret: str, id: str, now: datetime) -> dict[str, str]:
        """The headers that the platform would send with this body; `id` names the delivery."""
        ...


@dataclass(frozen=True, slots=True)
class Hmac:
    """A keyed hash over the body, or over time and body.

    `signed` is what is hashed: `{body}`, `{timestamp}.{body}` and the like. The time is unix seconds, or ISO 8601.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str | None = None
    window: timedelta = WINDOW

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.header, self.timestamp_header) if self.timestamp_header else (self.header,)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> datetime | None:
        given = header(headers, self.header)
        at, timestamp = None, ""
        if self.timestamp_header:
            timestamp = header(headers, self.timestamp_header)
            at = near(self.timestamp_header, timestamp, now, self.window)
        if not given.startswith(self.prefix):
            raise Reject(f"header {self.header}: does not begin with '{self.prefix}'")
        given = given.removeprefix(self.prefix)
        if self.encoding == "hex":
            given = given.lower()
        if not any(same(self.digest(body, secret, timestamp), given) for secret in secrets if secret):
            raise Reject(f"header {self.header}: the signature matches no secret of this source")
        return at

    def sign(self, body: bytes, secret: str, id: str, now: datetime) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        headers = {self.header: self.prefix + self.digest(body, secret, timestamp)}
        return headers | ({self.timestamp_header: timestamp} if self.timestamp_header else {})

    def digest(self, body: bytes, secret: str | bytes, timestamp: str) -> str:
        before, _, after = self.signed.partition("{body}")
        around = [part.replace("{timestamp}", timestamp).encode(errors="replace") for part in (before, after)]
        key = secret if isinstance(secret, bytes) else secret.encode()
        found = hmac.new(key, around[0] + body + around[1], hashlib.sha256 if self.algorithm == "sha256" else hashlib.sha1)
        return found.hexdigest() if self.encoding == "hex" else base64.b64encode(found.digest()).decode()


@dataclass(frozen=True, slots=True)
class SharedHeader:
    """The secret itself in a header: it proves who sends as long as nobody listens, and says nothing of the body."""

    header: str
    prefix: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.header,)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> datetime | None:
        given = header(headers, self.header)
        if not any(same(self.prefix + secret, given) for secret in secrets if secret):
            raise Reject(f"header {self.header}: matches no secret of this source")
        return None

    def sign(self, body: bytes, secret: str, id: str, now: datetime) -> dict[str, str]:
        return {self.header: self.prefix + secret}


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Standard Webhooks (github.com/standard-webhooks: spec 1.0), by its own package.

    `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature` (space-separated `v1,<base64>`), an
    HMAC-SHA256 over `id.timestamp.body` with the secret's Base64 decoded.
    """

    window: timedelta = WINDOW

    @property
    def needs(self) -> tuple[str, ...]:
        return ("webhook-id", "webhook-timestamp", "webhook-signature")

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> datetime | None:
        delivery_id, timestamp, signatures = (header(headers, name) for name in self.needs)
        if len(delivery_id) > MAX_ID_LENGTH:
            raise Reject(f"header webhook-id: longer than {MAX_ID_LENGTH} characters")
        sent_at = near("webhook-timestamp", timestamp, now, self.window)
        try:
            signed = body.decode()
        except UnicodeDecodeError as error:
            raise Reject("header webhook-signature: no signature matches (the body is not UTF-8)") from error
        given = [part.partition(",")[2] for part in signatures.split(" ") if part.startswith("v1,")]
        for secret in secrets:
            expected = _webhook(secret).sign(delivery_id, sent_at, signed).partition(",")[2]
            if any(same(expected, signature) for signature in given):
                return sent_at
        raise Reject("header webhook-signature: no v1 signature matches any secret of this source")

    def sign(self, body: bytes, secret: str, id: str, now: datetime) -> dict[str, str]:
        signature = _webhook(secret).sign(id, now, body.decode())
        return {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Anybody who knows the address may send. Only where the settings say `allow_unsigned = true`."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> datetime | None:
        return None

    def sign(self, body: bytes, secret: str, id: str, now: datetime) -> dict[str, str]:
        return {}


def delivery_id(told: str | None, body: bytes) -> str:
    """The vendor's own stable id, else the body's hash: the same body again is the same delivery.

    Raises
    ------
    Reject
        The id is too long to be kept.
    """
    if not told:
        return hashlib.sha256(body).hexdigest()
    if len(told) > MAX_ID_LENGTH:
        raise Reject(f"the delivery's id is longer than {MAX_ID_LENGTH} characters")
    return told


def header(headers: Mapping[str, str], name: str) -> str:
    """Its value.

    Raises
    ------
    Reject
        It is missing or empty.
    """
    value = headers.get(name)
    if not value:
        raise Reject(f"header {name}: missing")
    return value


def near(name: str, timestamp: str, now: datetime, window: timedelta) -> datetime:
    """The header's time: unix seconds, or ISO 8601.

    Raises
    ------
    Reject
        It is no time, or further than `window` from now, before or after.
    """
    at = read_time(timestamp)
    if at is None:
        raise Reject(f"header {name}: not a whole number of unix seconds")
    if abs(now - at) > window:
        raise Reject(f"header {name}: more than {window.total_seconds():.0f} s away from this server's clock")
    return at


def read_time(timestamp: str) -> datetime | None:
    """Unix seconds, or ISO 8601 with a zone; None where it is neither."""
    try:
        seconds = float(timestamp)
        if not math.isfinite(seconds) or seconds != int(seconds):
            return None
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError):
        return None
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(timestamp)
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def same(expected: str, given: str) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(expected.encode(errors="replace"), given.encode(errors="replace"))


def _webhook(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except (ValueError, binascii.Error, EmptyWebhookSecretError) as error:
        raise Reject("a secret configured for this source is not base64 after 'whsec_': mend TRIAGE_SOURCES") from error
