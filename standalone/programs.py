"""The programs of the system: how they run, when they are ready, how they stop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final


class Stage(IntEnum):
    """The order in which programs start; they stop in reverse order."""

    PORT_MAPPER = 1
    SERVERS = 2
    WORKERS = 3
    API = 4
    FRONT = 5


@dataclass(frozen=True, slots=True)
class Port:
    """A port on loopback that a program uses, and the setting that moves it."""

    number: int
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that runs in the foreground and logs to standard output."""

    name: str
    role: str
    stage: Stage
    command: tuple[str, ...]
    # Added to the supervisor's own environment. It holds passwords.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[Port, ...] = ()
    is_ready: Callable[[], bool] = lambda: True
    # The first stage that waits until this program is ready; None: no stage waits.
    needed_by: Stage | None = None
    ready_within_s: float = 30
    stop_signal: str = "TERM"
    stop_within_s: int = 10
    # The folder whose disk must have space for a start; None: that of the state.
    writes_to: Path | None = None


HOST: Final = "127.0.0.1"
