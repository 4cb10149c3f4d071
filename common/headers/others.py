"""What bytes look like that are no image of an accepted format, for whoever sent them."""

import re
from typing import Final

_LOOKED_AT_BYTES: Final = 1024
_SHOWN_BYTES: Final = 8
# Bytes that are no UTF-8, as Python escapes them: the last character may be cut off.
_CUT_OFF: Final = "".join(map(chr, range(0xDC80, 0xDD00)))
_SPOKEN: Final = {"HEIF": "a HEIC (HEIF) image"}

# The first that fits counts.
_OTHERS: Final = (
    (rb"%PDF-", "a PDF document"),
    (rb"\s*(?:<\?xml.*?|<!--.*?)?<svg\b", "an SVG drawing"),
    (rb"\s*<(?:!doctype html|html|head|body)\b", "an HTML page"),
    (rb"\s*<\?xml", "an XML document"),
    (rb"\s*[{\[]\s*[\"{\[\]}]", "JSON text"),
    (rb"\s*data:[\w/+.-]+[;,]", "a data: URL; send it as JSON, in the member `base64`"),
    (
        rb"(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD|SUkqA|TU0AK)[\w+/=\s]*\Z",
        "the base64 text of an image; send it as JSON, in the member `base64`",
    ),
    (rb"https?://", "an address; send the image itself"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (rb"8BPS", "a Photoshop document"),
    (rb"P[1-7]\s", "a PNM image"),
    (rb"\0\0[\x01\x02]\0[^\0]\0", "an icon or a cursor of Windows"),
    (rb"....ftyp", "a video, or an image in a container that is not accepted"),
    (rb"RIFF....AVI |\x1aE\xdf\xa3|\0\0\x01[\xb0-\xbf]", "a video"),
    (rb"v/1\x01", "an OpenEXR image"),
    (rb".{128}DICM", "a DICOM file"),
    (rb"PK(?:\x03\x04|\x05\x06)", "a ZIP archive"),
    (rb"\x1f\x8b", "data compressed by gzip"),
    (rb"\x0a[\0-\x05][\0\x01]", "a PCX image"),
    (rb"\0+\Z", "nothing but zero bytes"),
)
_PATTERNS: Final = [(re.compile(look, re.DOTALL | re.IGNORECASE), name) for look, name in _OTHERS]


def name_of(content: bytes, image_format: str | None) -> str:
    """Say what *content* looks like, in words that go on after "It looks like".

    Args:
        content: The bytes that were sent.
        image_format: The format that they have, if it is a known one that is not accepted.
    """
    if image_format is not None:
        return f"{spoken(image_format)}, a format that this service does not accept"
    beginning = content[:_LOOKED_AT_BYTES]
    for pattern, name in _PATTERNS:
        if pattern.match(beginning):
            return name
    if _is_text(beginning):
        return "plain text"
    return f"no known format: it starts with the bytes {beginning[:_SHOWN_BYTES].hex(' ')}"


def spoken(image_format: str) -> str:
    """Name an image of *image_format*, which has Pillow's name, as people do."""
    return _SPOKEN.get(image_format, f"a {image_format} image")


def _is_text(beginning: bytes) -> bool:
    text = beginning.decode("utf-8", "surrogateescape").rstrip(_CUT_OFF)
    return bool(text) and all(one.isprintable() or one.isspace() for one in text)
