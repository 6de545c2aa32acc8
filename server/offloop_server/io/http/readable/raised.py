"""Sub- and superscripts where there is no markup: 10⁶, H₂O, x^(n+1)."""

from __future__ import annotations

from typing import Final

_PLAIN: Final = "0123456789+-\N{MINUS SIGN}=()"
_ABOVE: Final = str.maketrans(_PLAIN + "ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_BELOW: Final = str.maketrans(_PLAIN, "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")


def raised(text: str, tag: str) -> str:
    """A script in plain characters: those of Unicode where it has all, else ``^(…)`` or ``_(…)``."""
    table = _ABOVE if tag == "sup" else _BELOW
    if all(ord(character) in table for character in text):
        return text.translate(table)
    return ("^" if tag == "sup" else "_") + (text if len(text) == 1 else f"({text})")
