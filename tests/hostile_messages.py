"""Bodies that are not our messages, and messages with unknown jobs or fences."""

import json
import random
import uuid
from collections.abc import Iterator
from typing import Any, Final

_MODEL: Final = "echo"
_ID: Final = uuid.UUID(int=0).hex

_BODIES: Final = (
    b"",
    b"rubbish",
    b"\x00\xff\xfe\x80" * 100,
    b"x" * 100_000,
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'{"id":"' + b"9" * 100_000,
    b'{"fence":' + b"9" * 10_000 + b"}",
    b"null",
    b"[]",
    b"{}",
    *(
        json.dumps(fields).encode()
        for fields in (
            [_ID, _MODEL, 0],
            {"id": _ID, "model": _MODEL},
            {"id": _ID, "model": _MODEL, "fence": None},
            {"id": _ID, "model": _MODEL, "fence": "0"},
            {"id": _ID, "model": _MODEL, "fence": 0.5},
            {"id": _ID, "model": _MODEL, "fence": float("nan")},
            {"id": 17, "model": _MODEL, "fence": 0},
            {"id": {"$gt": ""}, "model": _MODEL, "fence": 0},
            {"id": _ID, "model": ["a"], "fence": 0},
        )
    ),
)
_ODD_IDS: Final = ("", "\x00", "\ud800", "$where", "../" * 10, "\N{SNOWMAN}", "9" * 100_000)
_FENCES: Final = (0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30)


def rubbish(chance: random.Random) -> Iterator[bytes]:
    """Yield all unreadable bodies, repeatedly, in random order."""
    while True:
        yield from chance.sample(_BODIES, len(_BODIES))


def strangers(chance: random.Random) -> Iterator[bytes]:
    """Yield messages with unknown job ids."""
    while True:
        for job_id in chance.sample(_ODD_IDS, len(_ODD_IDS)):
            yield _message(job_id, 0)
            yield _message(f"{chance.getrandbits(128):032x}", 0)


def misfit(job_id: str, chance: random.Random) -> bytes:
    """Return a message for a job with a fence that it is unlikely to have."""
    return _message(job_id, chance.choice(_FENCES))


def _message(job_id: Any, fence: int) -> bytes:
    return json.dumps({"id": job_id, "model": _MODEL, "fence": fence}).encode()
