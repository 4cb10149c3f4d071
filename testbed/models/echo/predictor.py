"""Answers with the number in the image: a wrong image, or a second answer, shows.

``testbed/echo.py`` writes such images.
"""

import ctypes
import os
import signal
import time

import PIL.Image

_NUMBER_AT, _ORDER_AT = (0, 0), (1, 0)
_ANSWER, _WAIT, _HANG, _CRASH, _EAT = range(5)
# Slowly enough for whoever looks at it every now and then, also on a busy machine.
_STEP_BYTES, _STEP_S = 8 * 1024**2, 0.01


class Echo:
    """Says which number an image carries, and which process read it."""

    def load(self) -> None:
        self._eaten: list[bytearray] = []

    def predict(self, images: list[PIL.Image.Image]) -> list[list[tuple[str, float]]]:
        return [self._answer(image) for image in images]

    def _answer(self, image: PIL.Image.Image) -> list[tuple[str, float]]:
        high, middle, low = _pixel(image, _NUMBER_AT)
        order, parameter, _ = _pixel(image, _ORDER_AT)
        self._obey(order, parameter)
        number = high << 16 | middle << 8 | low
        return [(str(number), 0.75), (f"engine {os.getpid()} at {time.time_ns()}", 0.25)]

    def _obey(self, order: int, parameter: int) -> None:
        if order == _WAIT:
            time.sleep(parameter / 100)
        elif order == _HANG:
            # With the interpreter's lock held, as native code does: no Python thread runs.
            ctypes.PyDLL(None).sleep(3600)
        elif order == _CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif order == _EAT:
            while True:
                self._eaten.append(bytearray(b"x" * _STEP_BYTES))
                time.sleep(_STEP_S)


def _pixel(image: PIL.Image.Image, place: tuple[int, int]) -> tuple[int, int, int]:
    red, green, blue = image.getpixel(place)  # type: ignore[misc]  # RGB, always
    return int(red), int(green), int(blue)
