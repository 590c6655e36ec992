"""All settings: environment (TRIAGE_...), then triage.toml, then the local file that `triage init` writes."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from service.errors import SetupError

DATA_DIR = Path(".triage")
LOCAL_FILE = DATA_DIR / "local.toml"
SignalName = Literal["intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback"]


class SourceSettings(BaseModel):
    """A platform that sends to /hooks/{name}."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field("standard", description="which parser: a registered source; its own options stand beside")
    secrets: list[SecretStr] = Field(default=[], description="signing secrets; several while one is being rotated")


class SinkSettings(BaseModel):
    """A knowledge base that corrections are pushed to."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field("markdown", description="which writer: a registered sink; its own options stand beside")


class PullSettings(BaseModel):
    """A platform that is asked for what is new."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(description="which reader: a registered pull, such as 'rasa_sql'; its own options stand beside")
    every_minutes: float = Field(5.0, ge=0, le=10_080, description="how often the worker asks; 0: only `triage pull NAME` does")
    source: str | None = Field(None, min_length=1, description="the source (bot) of its conversations; without it NAME")
    start: datetime | None = Field(None, description="nothing older than this is asked for")


class QueueSettings(BaseModel):
    """How much a team reviews, and what."""

    model_config = ConfigDict(extra="forbid")

    capacity: int = Field(200, ge=1, description="open items at most; nothing is added while so many wait")
    review_rate: float = Field(0.05, ge=0, le=1, description="share of all exchanges worth a look beyond the urgent ones")
    urgent_priority: float = Field(0.6, ge=0, le=1, description="exchanges of this priority always enter while there is room")
    random_share: float = Field(0.4, gt=0, le=1, description="share of these further looks that pure chance chooses")
    chance_rate: float | None = Field(
        None, gt=0, le=1, description="all urgent ones and this share of all exchanges by pure chance, and nothing else"
    )
    daily_items: int | None = Field(None, ge=1, description="items added in 24 hours at most")
    cluster_items: int | None = Field(None, ge=1, description="items of one cluster in seven days at most")
    signal_least: dict[SignalName, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={}, description="by signal, the least share of the items not drawn by chance for which it speaks strongest"
    )
    signal_most: dict[SignalName, Annotated[float, Field(ge=0, lt=1)]] = Field(
        default={}, description="by signal, the greatest such share"
    )
    look_alike: float = Field(0.82, gt=0, le=1, description="cosine from which two questions count as asking the same")
    lease_seconds: int = Field(900, ge=30, description="how long an item stays with a reviewer without a sign of life")
    undo_seconds: int = Field(20, ge=0, le=3600, description="how long a decision can be undone; nothing of it goes out before")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Each setting is possible beside the others."""
        if self.chance_rate is not None and (spare := {"review_rate", "random_share"} & self.model_fields_set):
            raise ValueError(f"chance_rate takes the place of {' and '.join(sorted(spare))}: leave one of them out")
        if self.daily_items is not None and self.cluster_items is not None and self.cluster_items > 7 * self.daily_items:
            raise ValueError("cluster_items is more than daily_items allows in seven days")
        if (total := sum(self.signal_least.values())) > 1:
            raise ValueError(f"the shares of signal_least add up to {total:g}, more than 1")
        for name, least in self.signal_least.items():
            if least > self.signal_most.get(name, 1.0):
                raise ValueError(f"signal_least of {name} is more than its signal_most")
        return self


class Settings(BaseSettings):
    """See docs/settings.md for each."""

    model_config = SettingsConfigDict(
        env_prefix="TRIAGE_", env_nested_delimiter="__", toml_file=[LOCAL_FILE, Path("triage.toml")], extra="forbid"
    )

    database_url: str = Field("sqlite:///.triage/triage.db", description="sqlite:///FILE or postgresql+psycopg://…")
    host: str = Field("127.0.0.1", description="address that the web process listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that the web process listens on")
    sources: dict[str, SourceSettings] = Field(default={}, description="platforms by name; each receives at /hooks/NAME")
    pulls: dict[str, PullSettings] = Field(default={}, description="platforms that are asked for what is new, by name")
    sinks: dict[str, SinkSettings] = Field(default={}, description="knowledge bases by name")
    replay_window_seconds: int = Field(300, ge=1, description="how old (or early) a delivery's timestamp may be")
    body_limit_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="largest request body; larger ones get 413")
    settle_seconds: int = Field(600, ge=0, description="quiet time after which an open conversation is scored")
    retention_days: float | None = Field(
        None, gt=0, description="forget conversations in which nothing was said for so many days; without it, none"
    )
    redact: bool = Field(True, description="replace e-mail addresses, phone and card numbers and tokens before storage")
    redact_phone_regions: list[str] = Field(["US", "GB", "DE"], description="regions whose national phone formats are recognised")
    encoder: str = Field("packaged", description="'packaged', a model directory, a hub name, or 'hashing' (no model, for trials)")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor multiplies it (AMX, AVX-512), float32 elsewhere"
    )
    reranker: str = Field(
        "off", description="cross-encoder for answers of doubtful relevance: 'off', 'hub', a model directory or a hub name"
    )
    entailment: str = Field(
        "packaged", description="model for contradictions that facts do not decide: 'packaged', 'hub', 'off', a directory, a name"
    )
    threads: int = Field(0, ge=0, description="threads for encoding; 0 is all cores")
    score_batch: int = Field(512, ge=1, le=4096, description="conversations that a worker claims and scores at once")
    signals_off: list[str] = Field(default=[], description="signals that are not measured")
    signal_thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={}, description="by signal, the probability below which its evidence does not raise the priority"
    )
    refit_after: int = Field(20, ge=1, description="new or withdrawn verdicts after which what learns is fitted again")
    refit_hours: float = Field(24.0, gt=0, description="hours after which it is fitted again if there are fewer")
    queue: QueueSettings = QueueSettings()
    worker_idle_seconds: float = Field(0.5, gt=0, description="how long an idle worker waits before it looks again")
    session_hours: int = Field(12, ge=1, description="how long a reviewer stays signed in")
    allowed_origins: list[str] = Field(
        default=[], description="further origins that may post forms, e.g. a proxy's public address"
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        default=[], description="addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    secure_cookie: bool = Field(False, description="send the session cookie over HTTPS only; set it wherever there is HTTPS")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="least level that is logged")] = "info"
    log_json: bool = Field(False, description="log JSON lines instead of text")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, deep_merge=True)


def load_settings() -> Settings:
    """The settings of this process.

    Raises
    ------
    SetupError
        A setting has a wrong value or an unknown name; the message names it, never its value.
    """
    try:
        return Settings()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"triage.toml or {LOCAL_FILE} is not TOML: {error}") from error
    except SettingsError as error:  # a variable that should hold JSON; its value may be a secret
        raise SetupError(f"settings: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False, include_url=False)
        )
        raise SetupError(f"settings: {told}") from error
