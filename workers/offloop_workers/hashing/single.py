"""Digests of one file (hash_file)."""

from __future__ import annotations

import hmac
import os

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.hashing import MAX_GIB, NOT_FOR_SECURITY, Digests, FileToHash, hash_file
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.files.progress import ByteProgress
from offloop_workers.hashing.digest import Digest, digest, keyed
from offloop_workers.hashing.read import BLOCK, ChangedError, TooLargeError, read

_MAX_KEY = 64 * 1024


@performs(hash_file)
def hash_bytes(request: FileToHash, context: Context) -> Digests:
    """Compute all digests in one pass; an expected digest is compared in constant time."""
    digests = _fresh(request, context)
    with context.open(request.file) as file:
        total = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            size = read(file, list(digests.values()), memoryview(bytearray(BLOCK)), ByteProgress(context, total).add)
        except ChangedError:
            message = (
                "The file changed while it was read, so it has no digest: call again when no process writes to it."
            )
            raise JobError(message, code="file_changed", retryable=True) from None
        except TooLargeError:
            message = f"The file has more than {MAX_GIB} GiB, the most one job reads: split it, or hash a part of it."
            raise LimitExceeded(message) from None
        except OSError as error:
            message = f"The file could not be read to its end ({error.strerror}): is its disk in order? Try again."
            raise JobError(message, code="unreadable_file") from None
    found = {name: one.digest().hex() for name, one in digests.items()}
    return Digests(
        digests=found,
        size=size,
        matches=_matches(request, found) if request.expected is not None else None,
        not_for_security=[name for name in found if name in NOT_FOR_SECURITY],
    )


def _fresh(request: FileToHash, context: Context) -> dict[str, Digest]:
    # The dictionary drops duplicate names.
    if request.hmac_key is None:
        return {algorithm: digest(algorithm) for algorithm in request.algorithms}
    with context.open(request.hmac_key) as file:
        key = file.read(_MAX_KEY + 1)
    if not 0 < len(key) <= _MAX_KEY:
        what = "is empty" if not key else f"has more than {_MAX_KEY} bytes"
        message = f"hmac_key {what}: send a key of 1 to {_MAX_KEY} bytes, such as data:;base64,<32 random bytes>."
        raise JobError(message, code="bad_input")
    return {algorithm: keyed(algorithm, key) for algorithm in request.algorithms}


def _matches(request: FileToHash, found: dict[str, str]) -> bool:
    algorithms, digits = request.comparable
    return any(hmac.compare_digest(found[algorithm], digits) for algorithm in algorithms)
