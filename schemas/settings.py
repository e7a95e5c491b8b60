"""Settings: read once, frozen, secrets masked.

Every field can be set by an environment variable: `PORTRAIT_` + group + `__` + name, as in
`PORTRAIT_KAFKA__BOOTSTRAP_SERVERS`. `portrait settings` prints them with their defaults.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import ConfigError
from schemas.messages import EventType, Label, Language, Purpose


class Group(BaseModel):
    """Base of each group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Group):
    """Where the brokers are and how to log in."""

    bootstrap_servers: str | None = Field(None, description="host:port,… ; unset: the broker that `portrait up` started")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None
    ssl_key_password: SecretStr | None = None
    partitions: int = Field(4, ge=1, description="partitions of every topic Portrait creates")
    replication_factor: int = Field(1, ge=1, description="replicas of every topic Portrait creates; 3 in production")

    def client_config(self) -> dict[str, str]:
        """What every Kafka client is given to connect, as librdkafka spells it.

        Raises:
            ConfigError: no address is known.
        """
        if not self.bootstrap_servers:
            raise ConfigError("no Kafka address: start one with `portrait up`, or set PORTRAIT_KAFKA__BOOTSTRAP_SERVERS")
        optional = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password and self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
            "ssl.key.password": self.ssl_key_password and self.ssl_key_password.get_secret_value(),
        }
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            **{name: str(value) for name, value in optional.items() if value is not None},
        }


class TritonSettings(Group):
    """Where the Triton Inference Server is."""

    grpc_address: str | None = Field(None, description="host:port; unset: the server that `portrait up` started")
    tls: bool = False
    ca_location: Path | None = None
    encoder_timeout_s: float = Field(5.0, gt=0, description="deadline of one call of text_encoder or user_encoder")
    llm_timeout_s: float = Field(120.0, gt=0, description="deadline of one profile text")
    llm_lora: str = Field("", description="adapter asked of a vLLM backend, as its multi_lora.json names it (docs/serving.md)")
    max_batch: int = Field(256, ge=1, description="users or texts in one call")
    retry_budget_s: float = Field(
        2.0, ge=0, description="time in which a failed call of an encoder is repeated at once; 0: never"
    )
    breaker_failures: int = Field(3, ge=1, description="failed calls in a row after which a model is not asked for a while")
    breaker_window_s: float = Field(60.0, gt=0, description="longest time over which failures count as a row")
    breaker_first_pause_s: float = Field(1.0, gt=0, description="how long it is not asked; doubles while it goes on failing")
    breaker_longest_pause_s: float = Field(5.0, gt=0, description="longest time it is not asked")


class ModelSettings(Group):
    """Which weights the models of the local Triton load: a Hugging Face id or a local folder."""

    text_encoder: str = Field("builtin:all-MiniLM-L6-v2", description="`builtin:` names come with the Python packages")
    profile_llm: str = Field("builtin:SmolLM2-135M-Instruct", description="any chat model transformers can load")
    profile_llm_adapter: str = Field(
        "builtin:narrator",
        description="LoRA merged into profile_llm: `builtin:narrator` goes with the default model; empty: none",
    )
    user_encoders: Path | None = Field(
        None,
        description="folder with the versions that `portrait train` makes; unset: models/user_encoder in the state folder",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    llm_threads: int = Field(1, ge=1, description="CPU threads of profile_llm; the encoders must never wait for it")
    llm_max_batch: int = Field(32, ge=1, description="texts generated together")


class FoldSettings(Group):
    """How events become state. Changing these changes states: wipe and refold, or accept the mixture."""

    history_length: int = Field(
        50, ge=1, le=1000, description="newest events kept whole; also the window in which a repeated event_id is known"
    )
    max_items: int = Field(256, ge=1, le=10_000, description="items counted per user; the longest unused are forgotten")
    max_late_s: float = Field(
        30 * 86_400.0, ge=0, description="an event this much older than the user's newest is left out and counted as late"
    )
    max_future_s: float = Field(
        86_400.0,
        ge=0,
        description="a time further than this ahead of its Kafka timestamp is refused; less ahead, it becomes that timestamp",
    )
    min_event_time_ms: int = Field(631_152_000_000, description="older events are refused (default 1990-01-01)")
    default_consent: frozenset[Purpose] = Field(
        frozenset({"recommendations"}), description="purposes assumed when a user has said nothing; profiles are opt-in"
    )
    type_weights: dict[EventType, float] = Field(
        {
            "view": 1.0, "click": 1.0, "play": 1.5, "search": 0.0, "like": 3.0, "favorite": 4.0, "share": 3.0,
            "comment": 2.0, "follow": 4.0, "rating": 0.0, "add_to_cart": 3.0, "purchase": 5.0, "return": -5.0,
            "skip": -1.0, "dislike": -4.0, "not_interested": -6.0,
        },
        description="what one event says about its item; a rating says (stars - 3) * 2",
    )  # fmt: skip


class ProfilerSettings(Group):
    """Lists and requests for profiles."""

    top_k: int = Field(10, ge=1, le=200)
    surfaces: dict[Label, Annotated[int, Field(ge=1, le=200)]] = Field(
        {}, description='lists beside the main one, by name, with their sizes: `{"home": 30, "detail": 6}`'
    )
    diversity: float = Field(0.15, ge=0, le=1, description="0: by score alone; towards 1: items unlike each other")
    diversity_method: Literal["mmr", "msd", "dpp"] = "mmr"
    repeats: Literal["never", "learned"] = Field(
        "never",
        description="what users met before: never in lists, or where user_encoder learned that people take things again",
    )
    explore_share: float = Field(0.0, ge=0, le=0.5, description="share of each list drawn by chance from all items")
    check_every_s: float = Field(
        10.0, ge=0, description="seconds between two checks of a few lists against a fresh, exact computation; 0: never"
    )
    rules_file: Path | None = Field(None, description="YAML with the site's rules (docs/rules.md)")
    concepts_file: Path | None = Field(None, description="CSV or JSON lines with edges from items to concepts (docs/rules.md)")
    half_life_h: float = Field(24.0 * 14, gt=0, description="an interest halves in this time")
    utc_offset_h: float = Field(
        0.0, ge=-14, le=14, description="hours the users' clocks are ahead of UTC: what is morning to them"
    )
    default_language: Language = "en"
    min_events: int = Field(3, ge=1, description="events before the first profile, unless tags are declared")
    look_events: int = Field(1, ge=1, description="events of a user between two looks at whether their text still holds")
    refresh_drift: float = Field(1.0, gt=0, description="1 - cosine between history then and now that asks for one; 2: never")
    refresh_drift_events: int = Field(30, ge=1, description="new events before drift is asked about")
    refresh_age_h: float = Field(24.0 * 180, gt=0, description="age of a text, in event time, that asks for a new one")
    refresh_grown_events: int = Field(150, ge=1, description="new events that ask for a new text though nothing changed")
    request_timeout_s: float = Field(300.0, gt=0, description="a request not answered by then may be repeated")

    @field_validator("surfaces")
    @classmethod
    def _not_the_main_list(cls, surfaces: dict[str, int]) -> dict[str, int]:
        if "main" in surfaces:
            raise ValueError("`main` is the list of no surface, whose size is top_k: name the surface otherwise")
        return surfaces


class SearchSettings(Group):
    """Vector search over the catalogue: exact, by FAISS in this process, or by Milvus."""

    index: Literal["auto", "exact", "ivf", "ivf_pq", "hnsw", "milvus"] = Field(
        "auto", description="`auto`: exact for few items, `ivf` for more; `ivf_pq` needs least memory"
    )
    exact_up_to: int = Field(10_000, ge=0, description="items up to which `auto` and FAISS compare a user with every item")
    lists_probed: int = Field(40, ge=1, description="inverted lists searched per user by `ivf` and `ivf_pq`: more finds more")
    graph_effort: int = Field(400, ge=1, description="places kept in mind while `hnsw` searches: more finds more")
    threads: int = Field(0, ge=0, description="threads of one search with FAISS; 0: all cores")
    milvus_address: str = Field("http://127.0.0.1:19530", description="URL of Milvus, or a file for Milvus Lite")
    milvus_token: SecretStr | None = Field(None, description="`user:password` or an API key")
    milvus_collection: str = Field("portrait_items", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")


class NarratorSettings(Group):
    """Writing profiles."""

    max_in_flight: int = Field(32, ge=1, description="texts asked of Triton at once")
    prompt: Literal["tuned", "few_shot"] = Field(
        "tuned", description="`few_shot` shows examples to a model that is neither tuned on our prompts nor large"
    )
    max_tokens: int = Field(320, ge=8, description="longest sentence")
    remembered_facts: int = Field(
        50_000, ge=0, description="facts whose words are remembered: a text of such facts alone takes no call of the model"
    )
    queue_limit: int = Field(50_000, ge=1, description="users waiting for a text; beyond it reading pauses")
    queue_mb: int = Field(64, ge=1, description="megabytes of waiting requests; beyond it reading pauses")
    calls_per_s: float = Field(0.0, ge=0, description="profile texts begun a second, shared by all users; 0: no limit")
    calls_burst: int = Field(10, ge=1, description="texts begun at once after a quiet time")
    user_pause_s: float = Field(
        0.0, ge=0, description="least time between two texts of one user; 2 s at most for the user's own word"
    )
    llm_languages: frozenset[Language] = Field(
        frozenset({"en", "zh"}), description="languages profile_llm can write; profiles in others are plain text"
    )


class RuntimeSettings(Group):
    """The streaming core."""

    folder: Path = Field(Path(".portrait"), description="state, logs, local stack and what was read of data folders are here")
    cache_folder: Path = Field(Path("~/.cache/portrait"), description="downloads shared by all projects: Kafka's jars")
    replica: str = Field("0", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="stable name of this worker among its group's")
    http_port: int = Field(0, ge=0, le=65535, description="/metrics, /healthz, /readyz; 0: any free port")
    http_host: str = "127.0.0.1"
    max_batch: int = Field(2000, ge=1, description="messages in one micro-batch")
    max_wait_ms: int = Field(0, ge=0, description="how long a micro-batch waits to fill; what came meanwhile is taken anyway")
    store_memory_mb: int = Field(128, ge=8, description="what all of a worker's RocksDB stores may hold in memory together")
    transaction_timeout_ms: int = Field(
        10_000, ge=1000, le=45_000, description="after which the broker aborts; all waits of one fit into max.poll.interval.ms"
    )
    restore_timeout_s: float = Field(300.0, gt=0)
    accept_lost_input: bool = Field(
        False, description="go on when retention deleted input that was not read; the loss is counted and logged"
    )


class Settings(BaseSettings):
    """All settings of Portrait."""

    model_config = SettingsConfigDict(env_prefix="PORTRAIT_", env_nested_delimiter="__", frozen=True, extra="forbid")

    kafka: KafkaSettings = KafkaSettings()
    triton: TritonSettings = TritonSettings()
    models: ModelSettings = ModelSettings()
    fold: FoldSettings = FoldSettings()
    profiler: ProfilerSettings = ProfilerSettings()
    search: SearchSettings = SearchSettings()
    narrator: NarratorSettings = NarratorSettings()
    runtime: RuntimeSettings = RuntimeSettings()


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigError: a variable is unknown or its value is wrong; the message names it.
    """
    for name in os.environ:
        group = name.removeprefix("PORTRAIT_").split("__")[0].lower()
        if name.startswith("PORTRAIT_") and group not in {*Settings.model_fields, "weights"}:
            raise ConfigError(f"setting {name} is unknown; see `portrait settings`")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "PORTRAIT_" + "__".join(str(part).upper() for part in first["loc"])
        raise ConfigError(f"setting {name}: {first['msg']}; see `portrait settings`") from error
