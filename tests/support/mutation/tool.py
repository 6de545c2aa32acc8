"""mutmut with one mutant for each string instead of three: another word is another word.

A script for the folder of `support.mutation`, whose packages and tests it must import instead of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from mutmut.__main__ import cli  # type: ignore[import-not-found]  # installed by ./run mutate only
from mutmut.mutation import mutators  # type: ignore[import-not-found]


def _one(node: Any) -> Iterable[Any]:
    return islice(mutators.operator_string(node), 1)


if __name__ == "__main__":
    mutators.mutation_operators[:] = [
        (node, _one if operator is mutators.operator_string else operator)
        for node, operator in mutators.mutation_operators
    ]
    cli()
