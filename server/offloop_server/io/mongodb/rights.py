"""Rights of the connection's user: a warning in the log where it could write."""

from __future__ import annotations

from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from offloop import logs

_WRITES: Final = frozenset({"insert", "update", "remove", "createCollection", "dropCollection", "anyAction"})

_READ: Final = frozenset({"read", "readAnyDatabase"})
"""Roles that only read; they count where the server does not list rights."""

log = logs.get(__name__)


async def check_rights(client: AsyncMongoClient[dict[str, Any]], connection: str) -> None:
    """Warn if the server does not ask for a login, or the user may write: the guard is then the only hold.

    Raises:
        PyMongoError: the server does not answer, or refuses the login.
    """
    try:
        status = await client.admin.command("connectionStatus", showPrivileges=True)
    except OperationFailure as error:
        if error.code == 18:  # noqa: PLR2004 -- AuthenticationFailed
            raise
        return  # a compatible server without that command
    login = status.get("authInfo", {})
    rights = {action for right in login.get("authenticatedUserPrivileges", []) for action in right.get("actions", [])}
    roles = {role["role"] for role in login.get("authenticatedUserRoles", [])}
    if not login.get("authenticatedUsers"):
        log.warning("a MongoDB connection has no login; give it a user with the role read", connection=connection)
    elif rights & _WRITES or (not rights and roles - _READ):
        log.warning(
            "the user of a MongoDB connection may write; only reading stages are sent, but give it one with the role "
            "read",
            connection=connection,
        )
