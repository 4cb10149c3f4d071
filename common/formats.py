"""The image formats that the api lets in and the engine decodes, by Pillow's names."""

from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
