"""Repeated submissions: ``Idempotency-Key``, as in the IETF draft.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import json
import re
from typing import Final

from flask import Request

from api.jobs.schemas import JobOptions
from api.problems import ProblemError
from common.jobs import Idempotency, Image, Job
from common.problems import answers

HEADER: Final = "Idempotency-Key"
# The draft defines no header for it. This one is Stripe's.
# Source: https://docs.stripe.com/api/idempotent_requests
REPLAYED: Final = "Idempotent-Replayed"
# The draft asks for a quoted string (RFC 9651); many clients send the bare key.
_KEY: Final = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?')


def read_key(request: Request) -> str | None:
    """Return the key that the request carries, or None.

    Raises:
        ProblemError: Its value is not a key.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    match = _KEY.fullmatch(given.strip())
    if match is None:
        raise ProblemError(
            answers.IDEMPOTENCY_KEY_BROKEN,
            f"{HEADER} takes 1 to 255 visible ASCII characters, with or without quotes around.",
        )
    return match[1]


def identify(key: str, *, model: str, options: JobOptions, image: Image) -> Idempotency:
    """Tie *key* to the parsed fields and the image's digest.

    The body does not count: its multipart boundary differs from one attempt to the next.
    """
    asked = [model, options.top_k, options.metadata, image.sha256]
    fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Idempotency(key=key, fingerprint=fingerprint)


def check_same(job: Job, repeated: Idempotency) -> Job:
    """Return *job* if the repeated submission asks for the same.

    Raises:
        ProblemError: The key was used for a different request (422).
    """
    if job.idempotency == repeated:
        return job
    raise ProblemError(
        answers.IDEMPOTENCY_KEY_REUSED,
        f"Key {repeated.key!r} was already used for a different request. Send a new key with a "
        "new request.",
    )
