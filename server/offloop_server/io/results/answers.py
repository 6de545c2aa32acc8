"""Arguments and answers that the query tools of all sources share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from offloop.kinds.kind import Model
from offloop_server.io.results.export import Format
from offloop_server.io.results.rows import Limit
from offloop_server.toolkit.answers import ArtifactAnswer

MAX_NAME = 255
INLINE_ROWS = 1000
SAVED_ROWS = 100_000
INLINE_BYTES = 256 << 10
SAVED_BYTES = 32 << 20

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Connection = Annotated[str, Field(max_length=40)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
RowCount = Annotated[int, Field(ge=1, le=INLINE_ROWS)]


class ConnectionArguments(Model):
    """Choice of the source."""

    connection: Connection | None = Field(
        None, description="Name of the connection; may be left out where there is only one."
    )


class ResultArguments(ConnectionArguments):
    """Caps and form of the rows."""

    max_rows: Annotated[int, Field(ge=1, le=SAVED_ROWS)] = Field(
        100, description=f"Rows at most; up to {INLINE_ROWS} in the answer, up to {SAVED_ROWS} with save."
    )
    max_bytes: Annotated[int, Field(ge=1000, le=SAVED_BYTES)] | None = Field(
        None, description=f"Bytes of values at most. Default 65536, with save {SAVED_BYTES}."
    )
    timeout_seconds: Seconds = Field(10, description="Stop the query after this time; the server has a limit too.")
    format: Format | None = Field(
        None,
        description="The rows as one text instead of objects. In csv, a text that a spreadsheet would run gets a ' in "
        "front; json has the values as they are.",
    )
    save: bool = Field(default=False, description="Keep the rows as a file (an artifact; csv without format).")

    @model_validator(mode="after")
    def _caps(self) -> ResultArguments:
        if not self.save and self.max_rows > INLINE_ROWS:
            message = f"max_rows may be {INLINE_ROWS} in an answer; with save=true it may be {SAVED_ROWS}"
            raise ValueError(message)
        if not self.save and (self.max_bytes or 0) > INLINE_BYTES:
            message = f"max_bytes may be {INLINE_BYTES} in an answer; with save=true it may be {SAVED_BYTES}"
            raise ValueError(message)
        return self


class ColumnAnswer(Model):
    """A column of an answer."""

    name: str
    type: str | None = Field(description="As the source calls it; null where no row shows it.")


class QueryAnswer(Model):
    """The rows of a query."""

    connection: str
    columns: list[ColumnAnswer]
    rows: list[dict[str, Any]] | None = Field(
        description="Numbers beyond 2^53, decimals and dates are text, bytes are {base64}; of MongoDB, Extended JSON. "
        "null with format or save."
    )
    row_count: int
    truncated: bool = Field(description="Whether there are more rows than these.")
    truncated_by: Limit | None
    cut_values: int = Field(description="Values too long for the answer, which end in …; none with save.")
    warnings: list[str] = Field(default_factory=list)
    text: str | None = Field(description="The rows in the requested format.")
    artifact: ArtifactAnswer | None
    elapsed_ms: int
