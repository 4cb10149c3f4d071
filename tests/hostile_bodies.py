"""Bodies of submissions that would be costly for a parser that trusts them."""

import base64
import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

JSON: Final = "application/json"
FORM: Final = "multipart/form-data; boundary=xyz"
_HEAD: Final = b'--xyz\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
_END: Final = b"\r\n--xyz--\r\n"


@dataclass(frozen=True, slots=True)
class Body:
    """A body and its headers."""

    content: bytes
    content_type: str
    is_gzip: bool = False

    def environ(self) -> dict[str, str]:
        """Return its WSGI environment."""
        described = {"CONTENT_TYPE": self.content_type, "CONTENT_LENGTH": str(len(self.content))}
        return described | ({"HTTP_CONTENT_ENCODING": "gzip"} if self.is_gzip else {})


def filled(unit: bytes, size: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """Repeat *unit* until there are *size* bytes."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def noise(size: int) -> bytes:
    """Return bytes that look like the pixels of a PNG, the same each time."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09" + _noise(size - 24)


def _noise(size: int) -> bytes:
    return Random(size).randbytes(size)  # noqa: S311 (repeatable, not secret)


def _digits(size: int) -> bytes:
    return base64.b64encode(noise(size * 3 // 4 - 60))


def _text(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], Body]:
    """Fill the member `base64` with repetitions of *unit*."""
    return _json(unit, b'{"base64": "' + before, after + b'"}')


def _json(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], Body]:
    return lambda size: Body(filled(unit, size, before, after), JSON)


def _image_as(write: Callable[[bytes], bytes]) -> Callable[[int], Body]:
    """Let *write* encode an image as the member `base64`."""
    return lambda size: Body(b'{"base64": "' + write(_digits(size))[: size - 14] + b'"}', JSON)


def _form(unit: bytes, before: bytes = _HEAD, after: bytes = _END) -> Callable[[int], Body]:
    return lambda size: Body(filled(unit, size, before, after), FORM)


def _compressed(make: Callable[[int], Body], level: int = 6) -> Callable[[int], Body]:
    def compress(size: int) -> Body:
        body = make(size)
        return Body(gzip.compress(body.content, level, mtime=0), body.content_type, is_gzip=True)

    return compress


def _deflated(unit: bytes) -> Callable[[int], Body]:
    """Make a gzip member of empty deflate blocks only."""
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return lambda size: Body(filled(unit, size, header), "image/png", is_gzip=True)


def _escaped(digits: bytes) -> bytes:
    return b"".join(map(b"\\u%04x".__mod__, digits))


def _percents(digits: bytes) -> bytes:
    return b"data:;base64," + b"".join(map(b"%%%02X".__mod__, digits))


def _lines(digits: bytes, length: int) -> bytes:
    return b"\\n".join(digits[at : at + length] for at in range(0, len(digits), length))


def _first(layout: Callable[[bytes], bytes], share: int) -> Callable[[bytes], bytes]:
    """Shorten the image where each digit takes more bytes."""
    return lambda digits: layout(digits[: len(digits) // share // 4 * 4])


def _in_small_parts(size: int) -> Body:
    part = b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return Body(filled(part, size, after=b"--xyz--\r\n"), FORM)


def _with_boundary(boundary: bytes, unit: bytes) -> Callable[[int], Body]:
    head = _HEAD.replace(b"xyz", boundary)
    end = _END.replace(b"xyz", boundary)
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return lambda size: Body(filled(unit, size, head, end), kind)


def _empty_block_with_tables() -> bytes:
    """Return deflate blocks with Huffman tables and no content, eight for whole bytes.

    Source: RFC 1951, 3.2.7
    """
    # The lengths of code lengths: 1 for `1` and for `18` (many zeros). Then 256 zeros, `end` of
    # length 1, and one distance of length 1; and the code of `end`.
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    numbers = [(0, 1), (2, 2), (0, 5), (0, 5), (len(order) - 4, 4)]
    numbers += [(int(one in {1, 18}), 3) for one in order]
    numbers += [(1, 1), (138 - 11, 7), (1, 1), (118 - 11, 7), (0, 1), (0, 1), (0, 1)]
    bits = [number >> place & 1 for number, width in numbers for place in range(width)] * 8
    value = sum(bit << place for place, bit in enumerate(bits))
    return value.to_bytes(len(bits) // 8, "little")


def _flushed(size: int) -> Body:
    """Compress as some servers do: each piece by itself."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    unit = b""
    image = noise(size // 2)
    for at in range(0, len(image), 1024):
        unit += compressor.compress(image[at : at + 1024]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return Body(unit + compressor.flush(), "image/png", is_gzip=True)


HOSTILE: Final[Mapping[str, Callable[[int], Body]]] = {
    "image as it is": lambda size: Body(noise(size), "image/png"),
    "image in a form": lambda size: Body(_HEAD + noise(size - 200) + _END, FORM),
    "image in base64": _image_as(bytes),
    "image in base64, escaped": _image_as(_first(_escaped, 6)),
    "image in base64, slashes escaped": _image_as(
        lambda digits: digits[: len(digits) * 15 // 16 // 4 * 4].replace(b"/", b"\\/")
    ),
    "image in base64, a line for each digit": _image_as(_first(partial(_lines, length=1), 3)),
    "image in base64, in lines": _image_as(_first(partial(_lines, length=76), 2)),
    "image in base64, percent-encoded": _image_as(_first(_percents, 3)),
    "image in a data URL": _image_as(lambda digits: b"data:image/png;base64," + digits),
    "base64 after a member of many numbers": lambda size: Body(
        b'{"metadata": [%b0], "base64": "%b"}' % (b"0, " * 20_000, _digits(size - 61_000)), JSON
    ),
    "small lists": _json(b"[],", b"[", b"[]]"),
    "small lists in metadata": _json(b"[],", b'{"base64": "AAAA", "metadata": [', b"[]]}"),
    "small lists that never end": _json(b"["),
    "small objects": _json(b"{},", b'{"base64": "AAAA", "x": [', b"{}]}"),
    "nested objects": _json(b'{"":', b'{"metadata": '),
    "metadata": lambda size: Body(
        b'{"base64": "AAAA", "metadata": {%b"z": 1}}'
        % b"".join(b'"k%07d": 1, ' % number for number in range(size // 15)),
        JSON,
    ),
    "metadata of one text": _json(b"x", b'{"base64": "AAAA", "metadata": {"a": "', b'"}}'),
    "metadata of escapes": _json(b"\\u0041", b'{"base64": "AAAA", "metadata": {"a": "', b'"}}'),
    "a vast number": _json(b"9", b'{"base64": "AAAA", "top_k": ', b"}"),
    "unknown members": _json(b'"a": 1, ', b'{"base64": "AAAA", ', b'"top_k": 1}'),
    "a long name": _json(b"x", b'{"base64": "AAAA", "', b'": 1}'),
    "white space": _json(b" ", b'{"base64": "AAAA"', b"}"),
    "members base64": _json(b'"base64": "AAAA", ', b"{", b'"base64": "AAAA"}'),
    "empty members base64": _json(b'"base64":"",', b"{", b'"base64": "AAAA"}'),
    "members base64 in lists": _json(b'{"base64": "AAAA"},', b"[", b"{}]"),
    "member base64 that never ends": _json(b"A", b'{"base64": "'),
    "member base64 before white space": _json(b" ", b'{"base64"', b":"),
    "quotes": _json(b'"'),
    "escaped quotes": _text(b'\\"'),
    "escaped quotes after a text": _text(b'\\"', b"A" * 70_000),
    "backslashes": _text(b"\\\\"),
    "backslashes, an odd number": _text(b"\\\\", after=b'\\"'),
    "surrogate pairs": _text(b"\\ud83d\\ude00"),
    "halves of surrogate pairs": _text(b"\\ud800"),
    "escapes of white space": _text(b"\\n"),
    "escapes of different lengths": _text(b"\\n\\u0041\\/\\u0041\\tA"),
    "spaces in base64": _text(b" ", b"AAAA", b"AAAA"),
    "nothing but padding": _text(b"=", b"AA"),
    "padding in between": _text(b"AA=="),
    "other alphabet": _text(b"-_-_"),
    "text that is no base64": _text("ä".encode()),
    "bytes that are no text": _text(b"\xff"),
    "zero bytes": _text(b"\0"),
    "data URL without a comma": _text(b"x", b"data:"),
    "data URL with parameters": _text(b";a=b", b"data:image/png", b";base64,AAAA"),
    "data URL of percents": _text(b"%", b"data:;base64,"),
    "data URL of percents of percents": _text(b"%25", b"data:;base64,"),
    "data URL of percents of spaces": _text(b"%20", b"data:;base64,AAAA"),
    "data URL of percents of zeros": _text(b"%00", b"data:;base64,AAAA"),
    "data URL of commas": _text(b",", b"data:;base64,"),
    "bytes of JSON that are no JSON": _json(b"\xff"),
    "form of small parts": _in_small_parts,
    "form of boundaries": _form(b"--xyz\r\n"),
    "form of lines like its boundary": _form(b"\r\n--xyz_"),
    "form of lines almost like its boundary": _form(b"\r\n--xy"),
    "form of boundaries within lines": _form(b"_--xyz"),
    "form of boundaries before spaces": _form(b" ", _HEAD + b"\r\n--xyz", b"_" + _END),
    "form of line breaks": _form(b"\r\n"),
    "form of line feeds": _form(b"\n"),
    "form of carriage returns": _form(b"\r"),
    "form of dashes": _form(b"-"),
    "form that never ends": _form(b"x", after=b""),
    "form without a boundary": _form(b"x", b"", b""),
    "form with a header that never ends": _form(b"a", b"--xyz\r\n", b""),
    "form with many headers": _form(b"a: b\r\n", b"--xyz\r\n"),
    "form with continued headers": _form(b"a\r\n ", b"--xyz\r\n"),
    "form with many parameters": _form(
        b"; a=b", b"--xyz\r\nContent-Disposition: form-data", b"\r\n\r\nx" + _END
    ),
    "form with a long file name": _form(
        b"a", b'--xyz\r\nContent-Disposition: form-data; filename="', b'"\r\n\r\nx' + _END
    ),
    "form with a text for an image": _form(b"x", _HEAD.replace(b'; filename="a"', b"")),
    "form with a metadata of lists": _form(
        b"[],", _HEAD.replace(b'image"; filename="a', b"metadata"), b"[]" + _END
    ),
    "form with a preamble": _form(b"\r\n--x", b"", b"\r\n" + _HEAD + b"x" + _END),
    "form with an epilogue": _form(b"\r\n--xyz", _HEAD + b"x" + _END, b""),
    "form with a boundary of one dash": _with_boundary(b"-", b"-"),
    "form with a long boundary": _with_boundary(b"-" * 70, b"-" * 69 + b"x"),
    "form with a boundary of a thousand": _with_boundary(b"a" * 1000, b"--" + b"a" * 999 + b"b"),
    "gzip of an image": _compressed(lambda size: Body(noise(size - 4000), "image/png"), 1),
    "gzip of an image in base64": _compressed(_image_as(bytes)),
    "gzip of an image in a form": _compressed(lambda n: Body(_HEAD + noise(n - 4000) + _END, FORM)),
    "gzip of few letters": _compressed(
        lambda size: Body(_noise(size).translate(b"abcdefgh" * 32), "image/png"), 1
    ),
    "gzip of zeros": _compressed(lambda size: Body(bytes(size), "image/png")),
    "gzip of zeros in base64": _compressed(_text(b"A")),
    "gzip of zeros in a form": _compressed(_form(b"\0")),
    "gzip of too many zeros": _compressed(lambda size: Body(bytes(size * 20), "image/png")),
    "gzip of gzip": _compressed(_compressed(lambda size: Body(bytes(size * 20), "image/png"))),
    "gzip of small lists": _compressed(_json(b"[],", b"[", b"[]]")),
    "gzip of nothing, again and again": lambda size: Body(
        filled(gzip.compress(b"", mtime=0), size), "image/png", is_gzip=True
    ),
    "gzip of empty blocks": _deflated(b"\x02\x08\x20\x80\x00"),
    "gzip of empty stored blocks": _deflated(b"\0\0\0\xff\xff"),
    "gzip of blocks with tables": _deflated(_empty_block_with_tables()),
    "gzip flushed again and again": _flushed,
    "gzip that is none": lambda size: Body(b"\x1f\x8b" * (size // 2), "image/png", is_gzip=True),
}
