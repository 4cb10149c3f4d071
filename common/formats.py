"""The image formats that the api lets in and the engine decodes, by Pillow's names.

HEIF is what phones call HEIC; an engine without the extra ``heic`` refuses it.
"""

from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
