"""Bodies made to be costly: what they cost before they are accepted or refused.

At 10 MB no more than 50 ms of processor time, and 16 MB beside the body; here at 4 MB, since it
grows with the size.
"""

import binascii
import time
import tracemalloc
from io import BytesIO

import pytest
from werkzeug.exceptions import HTTPException

from api.jobs.payload.reading import read_payload
from api.problems import ProblemError
from common.intake import ImageLimits, RefusedImageError, accept
from common.memory import MEBIBYTE
from tests.hostile_bodies import HOSTILE, Body
from tests.service import Api

SIZE = 4 * MEBIBYTE
API = Api(max_image_bytes=SIZE)
# Of that size. A decompressed body is not counted again.
MOST_BYTES = SIZE * 16 // 10
# Of what a plain decoder of base64 takes for that size: machines differ, and are shared. What
# is bounded takes up to 6 times that, and what is not takes 100 times and more.
MOST_TIMES = 15
# On any machine: twice what a compressed body is allowed.
ALWAYS_ALLOWED_S = 0.06
TRIES = 3


def take_in(body: Body) -> str | None:
    """Read a body as a submission; return the name of its problem, or None."""
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": BytesIO(body.content), **body.environ()}
    settings = API.settings
    limits = ImageLimits(bytes=settings.max_image_bytes, pixels=settings.max_image_pixels)
    try:
        payload = read_payload(API.app.request_class(environ), limit_bytes=settings.max_body_bytes)
        accept(payload.image, source=payload.source, limits=limits)
    except ProblemError as exc:
        return str(exc.document["type"]).rpartition(":")[2]
    except RefusedImageError as exc:
        return exc.problem.name
    except HTTPException as exc:
        return exc.name
    return None


def took_s(body: Body) -> float:
    started_s = time.thread_time()
    take_in(body)
    return time.thread_time() - started_s


def reference_s() -> float:
    text = b"A" * SIZE
    started_s = time.thread_time()
    binascii.a2b_base64(text)
    return time.thread_time() - started_s


@pytest.fixture(params=HOSTILE)
def body(request: pytest.FixtureRequest) -> Body:
    # A little less, since the limit counts with the body's frame.
    return HOSTILE[request.param](SIZE - 1000)


def test_no_body_costs_much_more_than_to_read_it(body: Body) -> None:
    taken_s = min(took_s(body) for _ in range(TRIES))

    assert taken_s < max(ALWAYS_ALLOWED_S, MOST_TIMES * reference_s())


def test_no_body_takes_much_more_memory_than_its_own(body: Body) -> None:
    tracemalloc.start()

    take_in(body)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The sent body is not traced; reading it makes a second copy.
    assert peak - len(body.content) < MOST_BYTES


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.startswith("image ")])
def test_an_image_is_found_in_each_layout_of_a_large_body(name: str) -> None:
    assert take_in(HOSTILE[name](SIZE - 1000)) is None


@pytest.mark.parametrize("name", ["gzip of empty blocks", "gzip of blocks with tables"])
def test_a_gzip_body_that_is_nothing_but_work_is_refused(name: str) -> None:
    assert take_in(HOSTILE[name](SIZE)) == "content-encoding-costly"
