"""Formulas of Markdown, in TeX: where they stand in the text, and their typesetting as drawings."""

from __future__ import annotations

import html
import re
import warnings
from functools import cache, lru_cache
from typing import Any, Final
from xml.etree import ElementTree as ET

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.dollarmath import dollarmath_plugin

_MAX_LENGTH: Final = 4_000
_MAX_LISTED: Final = 60
_UNIT: Final = 24.0
"""Size at which a formula is drawn; the page gives its size in em."""

# Each with its own group; the longest delimiters first. A formula neither begins nor ends with a blank.
_INLINE = re.compile(
    r"\$\$(?P<display>(?:[^$\\]|\\.){1,4000})\$\$"
    r"|\$`(?P<quoted>[^`\n]{1,4000})`\$"
    r"|\$(?P<dollar>(?![\s$])(?:[^$\\`]|\\.){1,4000})(?<!\s)\$(?![0-9A-Za-z])"
    r"|\\\((?P<round>(?:[^\\]|\\[^)]){1,4000})\\\)"
    r"|\\\[(?P<square>(?:[^\\]|\\[^\]]){1,4000})\\\]",
    re.DOTALL,
)
_OPERATOR = re.compile(r"[\\^_={}<>+*/|]|\s[-\u2212]\s?")
# A command that the parser of TeX does not know becomes an identifier with its backslash.
_UNKNOWN = re.compile(r">\s*\\[A-Za-z]")
_NAMESPACE = re.compile(r' xmlns(:\w+)?="[^"]*"|(?<=</)\w+:|(?<=<)\w+:')


def plugin(parser: MarkdownIt) -> None:
    r"""Read ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]`` as formulas; prices such as $5 and $10 are none."""
    parser.use(dollarmath_plugin, allow_labels=False, allow_blank_lines=False)
    parser.inline.ruler.at("math_inline", _inline)
    for name in ("math_inline", "math_inline_double", "math_block"):
        parser.add_render_rule(name, _rendered)


def drawn(tex: str, environment: Any, *, display: bool) -> str:
    """HTML of a formula: a drawing with its source as a title, or the source as code where it cannot be typeset."""
    tex = tex.strip()
    kind = "block" if display else "inline"
    tag = "div" if display else "span"
    if drawing := _typeset(tex, display):
        return f'<{tag} class="math {kind}">{drawing}</{tag}>'
    environment["untypeset"].append(tex)
    return f'<{tag} class="math {kind}"><code>{html.escape(tex)}</code></{tag}>'


def warning(untypeset: list[str]) -> str:
    """A warning about the formulas that are code, or ``""``."""
    if not untypeset:
        return ""
    first = " ".join(untypeset[0].split())[:_MAX_LISTED]
    return f"Formulas that could not be typeset stand in the text as TeX: {len(untypeset)}, the first {first!r}."


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    if state.src[state.pos] not in "$\\":
        return False
    found = _INLINE.match(state.src, state.pos, min(state.posMax, state.pos + _MAX_LENGTH))
    if not found or not _is_formula(found, state.src[state.pos - 1 : state.pos] if state.pos else ""):
        return False
    if not silent:
        group = found.lastgroup or ""
        token = state.push("math_inline_double" if group in {"display", "square"} else "math_inline", "math", 0)
        token.content = found[group]
    state.pos = found.end()
    return True


def _is_formula(found: re.Match[str], before: str) -> bool:
    """Whether text between delimiters is a formula: prices, names of variables and escaped brackets are not."""
    text = found[found.lastgroup or 0]
    if found.lastgroup in {"display", "quoted"}:
        return bool(text.strip()) and before != "$"
    has_operator = bool(_OPERATOR.search(text))
    if found.lastgroup == "dollar":
        is_plain = bool(re.search(r"\s", text)) or text[0].isdigit()
        return not (before.isalnum() or before == "$") and "\n\n" not in text and (has_operator or not is_plain)
    return has_operator or (found.lastgroup == "round" and len(text.strip()) in {1, 2})


def _rendered(_self: RendererHTML, tokens: Any, index: int, _options: Any, environment: Any) -> str:
    token = tokens[index]
    return drawn(token.content, environment, display=token.type != "math_inline")


@cache
def _typesetter() -> Any:
    """The library: a quarter of a second and its font, for documents with formulas only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its way to the font
        import ziafont  # noqa: PLC0415
        import ziamath  # noqa: PLC0415
    ziafont.config.svg2 = False  # type: ignore[attr-defined]  # paths, since symbols would have the same name in each formula
    return ziamath


@lru_cache(maxsize=64)
def _typeset(tex: str, display: bool) -> str:  # noqa: FBT001 -- a key of the cache
    """The drawing of a formula, ``""`` for one that is not understood."""
    if len(tex) > _MAX_LENGTH:
        return ""
    try:
        formula = _typesetter().Latex(tex, size=_UNIT, inline=not display, color="currentColor")
        if _UNKNOWN.search(formula.mathmlstr()):
            return ""
        drawing = ET.fromstring(formula.svg())  # noqa: S314 -- made by the library, without entities
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- the parsers of TeX raise exceptions of any type
        return ""
    _, top, width, height = map(float, drawing.attrib["viewBox"].split())
    style = (
        f"width: {width / _UNIT:.3f}em; height: {height / _UNIT:.3f}em; vertical-align: {-(top + height) / _UNIT:.3f}em"
    )
    inside = "".join(ET.tostring(child, "unicode") for child in drawing)
    return (
        f'<svg viewBox="{drawing.attrib["viewBox"]}" style="{style}"><title>{html.escape(tex)}</title>'
        f"{_NAMESPACE.sub('', inside)}</svg>"
    )
