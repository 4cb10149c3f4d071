"""Where the running system answers."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from standalone.files import write_private
from standalone.programs import HOST

_FILE: Final = Path("run/system.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the system answers; kept while it runs, whatever the settings say later."""

    port: int
    management: Mapping[str, str] | None = field(repr=False)
    mongo_url: str = field(repr=False)
    mongo_database: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def keep(self) -> None:
        write_private(_FILE, json.dumps(asdict(self)))

    @classmethod
    def kept(cls) -> Self | None:
        with suppress(OSError, ValueError, TypeError):  # not there, or damaged
            return cls(**json.loads(_FILE.read_text()))
        return None
