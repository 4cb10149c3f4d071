"""The image formats that the API accepts and the engine decodes, by Pillow's names.

HEIF is what phones call HEIC. A consumer without the extra ``heic`` reports that it lacks it, and
the API refuses it.
"""

from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
