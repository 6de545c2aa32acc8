"""Structure of a GIF: Pillow takes a file that is cut off between or within frames for a shorter one."""

from __future__ import annotations

from typing import BinaryIO, Final

_TRAILER, _EXTENSION, _IMAGE = b";", b"!", b","
_HEAD: Final = 13
_DESCRIPTOR: Final = 9


def is_complete(file: BinaryIO) -> bool:
    """Whether the blocks of the file end with the trailer; its position is kept."""
    position = file.tell()
    file.seek(0)
    try:
        return _reaches_trailer(file)
    finally:
        file.seek(position)


def _reaches_trailer(file: BinaryIO) -> bool:
    head = file.read(_HEAD)
    if len(head) < _HEAD:
        return False
    _skip_palette(file, head[10])
    while kind := file.read(1):
        if kind == _TRAILER:
            return True
        if kind == _EXTENSION:
            file.read(1)
        elif kind == _IMAGE:
            descriptor = file.read(_DESCRIPTOR)
            if len(descriptor) < _DESCRIPTOR:
                return False
            _skip_palette(file, descriptor[8])
            file.read(1)  # bits of the codes
        else:
            continue  # some writers leave bytes between blocks; Pillow skips them too
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return False


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)
