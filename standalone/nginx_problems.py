"""The answers that nginx gives by itself, as problems.

``python -m standalone.nginx_problems`` writes them into nginx's template.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.problems import answers
from common.problems.types import HttpProblem

TEMPLATE: Final = Path(__file__).parent.parent / "nginx" / "nginx.conf.template"

_BLOCK: Final = re.compile(
    r"(?<=# Written by `python -m standalone\.nginx_problems`: begin\n).*"
    r"(?=\n *# Written by `python -m standalone\.nginx_problems`: end\n)",
    re.DOTALL,
)
_INDENT: Final = " " * 8
_TRY_AGAIN: Final = "Try again after the number of seconds in Retry-After."


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswer:
    """What nginx answers where it has a reason of its own.

    Args:
        codes: By which nginx knows the reasons; some of them are no statuses of HTTP.
        problem: The problem type.
        detail: What happened; the template's values in it are filled in.
        members: Further members of the problem, as JSON, with the template's values in it.
        directives: What the location needs beside its answer.
    """

    codes: tuple[int, ...]
    problem: HttpProblem
    detail: str
    members: str = ""
    directives: str = ""

    @property
    def location(self) -> str:
        """Named after the status, or after a code where another location has the status."""
        status = self.problem.status
        return f"/_problem/{status if status in self.codes else self.codes[0]}"

    def error_page(self) -> str:
        codes = " ".join(map(str, self.codes))
        changed = "" if self.codes == (self.problem.status,) else f" ={self.problem.status}"
        return f"error_page {codes}{changed} {self.location};"

    def block(self) -> str:
        status = self.problem.status.value
        members = {
            "type": self.problem.type,
            "title": self.problem.title,
            "status": status,
            "detail": self.detail,
        }
        body = json.dumps(members)[:-1] + self.members + "}"
        return (
            f"location = {self.location} "
            rf"{{ internal; {self.directives}return {status} '{body}\n'; }}"
        )


OWN_ANSWERS: Final = (
    # 497 and 494 are nginx's numbers for TLS on a plain port and for a header that is too large.
    OwnAnswer(
        codes=(400, 497),
        problem=answers.BAD_REQUEST,
        detail="This is not an HTTP request that the server understands.",
    ),
    OwnAnswer(codes=(404,), problem=answers.NOT_FOUND, detail="There is nothing at this address."),
    OwnAnswer(
        codes=(405,),
        problem=answers.METHOD_NOT_ALLOWED,
        detail="The server does not accept this method.",
    ),
    OwnAnswer(
        codes=(408,),
        problem=answers.REQUEST_TIMEOUT,
        detail="The request did not arrive in time.",
    ),
    OwnAnswer(
        codes=(411,),
        problem=answers.LENGTH_REQUIRED,
        detail="The request needs a Content-Length.",
    ),
    OwnAnswer(
        codes=(413,),
        problem=answers.BODY_TOO_LARGE,
        detail="A request body may have at most ${DARKROOM_MAX_BODY_BYTES} bytes.",
        members=', "limit_bytes": ${DARKROOM_MAX_BODY_BYTES}',
        # With a limit nginx would refuse the body a second time, in HTML, if the client has
        # closed its side already.
        directives="client_max_body_size 0; ",
    ),
    OwnAnswer(
        codes=(414,),
        problem=answers.URI_TOO_LONG,
        detail="A request line may have at most 8192 bytes.",
    ),
    OwnAnswer(
        codes=(429,),
        problem=answers.TOO_MANY_REQUESTS,
        detail="One address may send ${DARKROOM_RATE_LIMIT} requests per second. " + _TRY_AGAIN,
    ),
    # The template's own number, so that this limit has another problem than the one above.
    OwnAnswer(
        codes=(439,),
        problem=answers.TOO_MANY_CONNECTIONS,
        detail="One address may have ${DARKROOM_CONNECTION_LIMIT} open requests at once. Wait "
        "for some of them to end, and try again after the number of seconds in Retry-After.",
    ),
    OwnAnswer(
        codes=(431, 494),
        problem=answers.HEADER_TOO_LARGE,
        detail="Each header may have at most 8192 bytes, all together 32768; there may be at "
        "most 1000.",
    ),
    # nginx's own 500 means that it could not write a body to its disk.
    OwnAnswer(
        codes=(500,),
        problem=answers.STORAGE_FULL,
        detail="The server could not store the request: its disk is probably full. " + _TRY_AGAIN,
    ),
    OwnAnswer(
        codes=(501,),
        problem=answers.NOT_IMPLEMENTED,
        detail="The server does not support this transfer coding.",
    ),
    OwnAnswer(
        codes=(502, 503, 504),
        problem=answers.API_UNAVAILABLE,
        detail=_TRY_AGAIN,
    ),
    OwnAnswer(
        codes=(505,),
        problem=answers.HTTP_VERSION_NOT_SUPPORTED,
        detail="Send the request as HTTP/1.1.",
    ),
)


def with_own_answers(template: str) -> str:
    """Return *template* with the answers between its marks, in place of what stands there."""
    lines = [
        *(one.error_page() for one in OWN_ANSWERS),
        "",
        *(one.block() for one in OWN_ANSWERS),
    ]
    block = "\n".join(_INDENT + line if line else "" for line in lines)
    return _BLOCK.sub(lambda _: block, template)


if __name__ == "__main__":
    TEMPLATE.write_text(with_own_answers(TEMPLATE.read_text()))
