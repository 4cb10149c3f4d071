"""The image formats that the api lets in and the engine decodes, by Pillow's names.

HEIF is what phones call HEIC. A consumer without the extra ``heic`` says that it lacks it, and the
api refuses it.
"""

from typing import Final

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
