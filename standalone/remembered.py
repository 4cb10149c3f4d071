"""The settings that the running system was started with, to compare with later ones."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from common.settings.base import PREFIX
from standalone.files import write_private
from standalone.settings import StandaloneSettings

_FILE: Final = Path("run/settings.json")


def keep_settings(settings: StandaloneSettings) -> None:
    """Record *settings* while the system runs."""
    write_private(_FILE, json.dumps(_as_text(settings)))


def differences(settings: StandaloneSettings) -> list[str]:
    """Return a line for each setting in which the running system differs from *settings*."""
    kept: Mapping[str, str] = {}
    with suppress(OSError, ValueError):  # not there, or damaged
        kept = json.loads(_FILE.read_text())
    return [
        _difference(name, kept[name], asked, is_secret=_is_secret(settings, name))
        for name, asked in _as_text(settings).items()
        if kept.get(name, asked) != asked
    ]


def _difference(name: str, kept: str, asked: str, *, is_secret: bool) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if is_secret:
        return f"{variable} differs"
    return f"{variable} is {kept or 'empty'}, not {asked or 'empty'}"


def _as_text(settings: StandaloneSettings) -> dict[str, str]:
    return {name: _text(getattr(settings, name)) for name in type(settings).model_fields}


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return hashlib.sha256(value.get_secret_value().encode()).hexdigest()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _is_secret(settings: StandaloneSettings, name: str) -> bool:
    return isinstance(getattr(settings, name), SecretStr)
