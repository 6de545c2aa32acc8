"""Corrections of Python's codecs: byte sequences that the WHATWG Encoding Standard reads differently.

Measured over every sequence of one to four bytes against encoding_rs, Firefox's implementation, in
``tests/shared/charsets``. A newer Python may need fewer of them: those that it reads rightly change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_BIG5: Final = {
    0x877A: "㡵𡵓𣚞𦀡㻬𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆"
    "㓦珄𥶹瓆鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋",
    0x8E69: "箸", 0x8E6F: "簆", 0x8E7E: "糎", 0x8EAB: "緒", 0x8EB4: "縝", 0x8ECD: "者", 0x8ED0: "耨",
    0x8F57: "菁", 0x8F69: "蒨", 0x8F6E: "萏", 0x8FCB: "覦覩", 0x8FFE: "起", 0x906D: "都", 0x907A: "銹",
    0x90DC: "靜", 0x90F1: "響", 0x91BF: "鼖", 0x9244: "蔃", 0x92AF: "兙兛兝兞", 0x92C8: "鍮", 0x92D1: "瑹",
    0x9447: "浧", 0x94CA: "禛", 0x95D9: "邗", 0x9644: "靝", 0x96ED: "瀞", 0x96FC: "嬨", 0x9B76: "爁",
    0x9B78: "矗", 0x9B7B: "纇", 0x9BC6: "駖", 0x9BDE: "釔", 0x9BEC: "惞", 0x9BF6: "澶", 0x9C42: "輶",
    0x9C53: "侻", 0x9C62: "營", 0x9C68: "鄄", 0x9C6B: "鷰", 0x9C77: "菏", 0x9CBC: "尐秣", 0x9CD0: "婧",
    0x9D57: "輋", 0x9D5A: "筑", 0x9DC4: "拐", 0x9EA9: "恢", 0x9EEF: "痹", 0x9EFD: "汊", 0x9F60: "鬮",
    0x9F66: "鼗", 0x9FCB: "僭", 0x9FD8: "弌", 0xA063: "蠏", 0xA077: "拎", 0xA0D5: "瑨", 0xA0DF: "煢",
    0xA0E4: "牐", 0xA3C0: "␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟␡€", 0xC6CF: "廴", 0xC6D3: "无", 0xC6D5: "癶",
    0xC6D7: "隶", 0xC6DE: "〃仝", 0xFA5F: "倩", 0xFA66: "偽", 0xFABD: "包", 0xFAC5: "卄", 0xFAD5: "卿",
    0xFB48: "嘅", 0xFBB8: "婷", 0xFBF3: "幵", 0xFBF9: "廐", 0xFC4F: "彘", 0xFC6C: "悤", 0xFCB9: "撐",
    0xFCE2: "晴", 0xFCF1: "杞", 0xFDB7: "沜渝", 0xFDBB: "港", 0xFDF1: "煮", 0xFE52: "猪", 0xFE6F: "瑜",
    0xFEAA: "瓩", 0xFEDD: "砉", 0xA145: "‧", 0xA14E: "﹑", 0xA1C2: "¯", 0xA1E3: "\uff5e", 0xA1F2: "⊕", 0xA1F3: "⊙",
    0xA244: "￥", 0xA246: "￠", 0xA247: "￡",
}  # fmt: skip
"""Runs of characters by the code of the first one: Unicode has taken in more of HKSCS than the codec knows."""
_GB18030: Final = {
    b"\x80": "€", b"\xa3\xa0": "\u3000", b"\xa8\xbc": "\u1e3f", b"\x81\x35\xf4\x37": "\ue7c7",
    **{bytes([0xA6, 0xD9 + step]): chr(code) for step, code in enumerate(
        (0xFE10, 0xFE12, 0xFE11, 0xFE13, 0xFE14, 0xFE15, 0xFE16))},
    b"\xa6\xec": "\ufe17", b"\xa6\xed": "\ufe18", b"\xa6\xf3": "\ufe19",
    **{bytes([0xFE, trail]): chr(0x9FB4 + step) for step, trail in enumerate(
        (0x59, 0x61, 0x66, 0x67, 0x6D, 0x7E, 0x90, 0xA0))},
}  # fmt: skip
"""GB18030-2022, and the euro sign of windows-936."""
_SHIFT_JIS: Final = dict.fromkeys((b"\xa0", b"\xfd", b"\xfe", b"\xff"), "\ufffd")
_KOI8_U: Final = {b"\xae": "ў", b"\xbe": "Ў"}
_CONTROLS: Final = range(0x80, 0xA0)
_CELLS: Final = 94
_ODD_ROWS: Final = 0x9F
_UNUSED: Final = 0x7F


def corrections(charset: str) -> Iterator[tuple[bytes, str]]:
    """Byte sequences and the character that each must become."""
    if charset == "big5":
        yield from _big5()
    elif charset in ("gbk", "gb18030"):
        yield from _GB18030.items()
    elif charset == "euc-jp":
        yield from _euc_jp()
    elif charset == "shift_jis":
        yield from _SHIFT_JIS.items()
    elif charset == "koi8-u":
        yield from _KOI8_U.items()
    elif charset.startswith("windows-"):
        yield from _controls(charset)


def _controls(charset: str) -> Iterator[tuple[bytes, str]]:
    """Bytes without a character are the control characters of the same code; a vowel point of Hebrew is newer."""
    codec = charset.replace("windows-", "cp")
    for code in _CONTROLS:
        try:
            bytes([code]).decode(codec)
        except UnicodeDecodeError:
            yield bytes([code]), chr(code)
    if charset == "windows-1255":
        yield b"\xca", "\u05ba"


def _big5() -> Iterator[tuple[bytes, str]]:
    for code, characters in _BIG5.items():
        lead, trail = divmod(code, 0x100)
        for character in characters:
            yield bytes([lead, trail]), character
            trail = 0xA1 if trail == _UNUSED - 1 else trail + 1


def _euc_jp() -> Iterator[tuple[bytes, str]]:
    """JIS X 0208 as Windows has it: the standard has one index for euc-jp and shift_jis."""
    for row in range(_CELLS):
        lead = row // 2 + (0x81 if row < 62 else 0xC1)  # noqa: PLR2004 -- a gap for half-width katakana
        for cell in range(_CELLS):
            trail = cell + (_ODD_ROWS if row % 2 else 0x40)
            trail += not row % 2 and trail >= _UNUSED
            try:
                character = bytes([lead, trail]).decode("cp932")
            except UnicodeDecodeError:
                continue
            yield bytes([row + 0xA1, cell + 0xA1]), character
