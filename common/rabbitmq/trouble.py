"""Why RabbitMQ refuses a call: the kind of trouble, and what to do about it.

Only outages and missing queues pass by themselves. The courier repairs broken queues of ours; for
the other kinds the text names the solution.
"""

import re
from enum import StrEnum
from typing import Final

from pika.exceptions import (
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)


class Kind(StrEnum):
    """The kind of a refusal."""

    OUTAGE = "outage"  # RabbitMQ is down or restarts: wait
    MISSING = "missing"  # it is declared again
    BROKEN = "broken"  # RabbitMQ has the queue and cannot use it
    FOREIGN = "foreign"  # it has our name and other properties
    FORBIDDEN = "forbidden"  # the login, the virtual host or a permission
    LIMITED = "limited"  # a limit that an operator has set


# https://www.rabbitmq.com/amqp-0-9-1-reference#constants
_KINDS: Final = {
    403: Kind.FORBIDDEN,  # access refused
    404: Kind.MISSING,  # not found
    405: Kind.FOREIGN,  # resource locked: another connection has it for itself
    406: Kind.FOREIGN,  # precondition failed
    530: Kind.FORBIDDEN,  # not allowed
    541: Kind.BROKEN,  # internal error
}
# RabbitMQ says 404 of these too, since 3.7: the queue is there, its process or its node is not.
_DOWN: Final = re.compile(r"is down|inaccessible|stopped by supervisor|due to timeout|crashed")
_LIMIT: Final = re.compile(r"limit .*is reached|limit .*reached")
_NAMED: Final = re.compile(
    r"(?P<kind>queue|exchange) '(?P<name>[^']+)' in vhost '(?P<vhost>[^']*)'"
)
_USER: Final = re.compile(r"refused for user '(?P<user>[^']*)'")
_VHOST: Final = re.compile(r"vhost '?(?P<vhost>[^' ]+)")
_DELETING: Final = {
    "queue": "rabbitmqctl -p {vhost} delete_queue {name}",
    "exchange": "rabbitmqadmin --vhost={vhost} delete exchange name={name}",
}
# To configure, to write and to read: https://www.rabbitmq.com/docs/access-control
_RIGHTS: Final = "'^darkroom' '^darkroom' '^darkroom'"


def kind_of(error: BaseException) -> Kind:
    """Return the kind of a failed call to RabbitMQ."""
    code, text = _reply(error)
    kind = _KINDS.get(code, Kind.OUTAGE)
    if _LIMIT.search(text):
        return Kind.LIMITED
    if _is_entrance(error):  # no queue is concerned
        return kind if kind is Kind.FORBIDDEN else Kind.OUTAGE
    if kind is Kind.MISSING and _DOWN.search(text):
        return Kind.BROKEN
    return kind


def explain(error: BaseException, *, at: str = "") -> str:
    """Return what is wrong and, if it does not pass by itself, what to do.

    Args:
        error: What the call to RabbitMQ raised.
        at: The queue that it concerned; RabbitMQ does not always name it.
    """
    _, text = _reply(error)
    match kind_of(error):
        case Kind.FOREIGN:
            return _foreign(text)
        case Kind.FORBIDDEN:
            return _refused_entry(error, text) if _is_entrance(error) else _forbidden(text)
        case Kind.LIMITED:
            return (
                f"RabbitMQ has reached one of its configured limits ({text}); raise it: "
                "rabbitmqctl list_vhost_limits, list_user_limits"
            )
        case Kind.BROKEN:
            name = f"the queue {at!r}" if at else "a queue"
            return f"RabbitMQ has {name} and cannot use it ({text}); the courier replaces it"
        case Kind.MISSING:
            return f"a queue or an exchange is missing ({text}); Darkroom declares it again"
    return (
        f"RabbitMQ is unavailable ({text})"
        if text
        else "RabbitMQ cannot be reached or does not answer"
    )


def _reply(error: BaseException) -> tuple[int, str]:
    """Return RabbitMQ's code and text; 0 and an empty text if it sent none."""
    if isinstance(error, ChannelClosedByBroker | ConnectionClosedByBroker):
        return error.reply_code, " ".join(str(error.reply_text).split())
    # pika takes any end at these steps of opening for one of these two, an outage as well. The
    # code is there if it was RabbitMQ's word.
    if _is_entrance(error) and (said := re.search(r"\((\d{3})\) ['\"](.*)['\"]", str(error))):
        return int(said[1]), said[2].replace("\\'", "'")
    return 0, ""


def _is_entrance(error: BaseException) -> bool:
    return isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError)


def _foreign(text: str) -> str:
    named = _NAMED.search(text)
    if named is None:
        return f"a queue or an exchange has our name but other properties ({text})"
    delete = _DELETING[named["kind"]].format(name=named["name"], vhost=named["vhost"])
    return (
        f"the {named['kind']} {named['name']!r} has other properties than ours, so it is somebody "
        f"else's ({text}). Delete it if nobody needs it ({delete}), or name another virtual host "
        "in DARKROOM_AMQP_URL"
    )


def _forbidden(text: str) -> str:
    vhost = named["vhost"] if (named := _NAMED.search(text)) else "VHOST"
    user = found["user"] if (found := _USER.search(text)) else "USER"
    return (
        f"RabbitMQ's user lacks a right ({text}). Grant it: "
        f"rabbitmqctl set_permissions -p {vhost} {user} {_RIGHTS}"
    )


def _refused_entry(error: BaseException, text: str) -> str:
    if isinstance(error, ProbableAuthenticationError):
        return (
            f"RabbitMQ refuses the login ({text}): check user and password in DARKROOM_AMQP_URL "
            "(guest may only come from RabbitMQ's own machine)"
        )
    vhost = found["vhost"] if (found := _VHOST.search(text)) else "VHOST"
    user = found["user"] if (found := _USER.search(text)) else "USER"
    return (
        f"RabbitMQ refuses the virtual host ({text}): check DARKROOM_AMQP_URL, or create "
        f"it and grant the rights (rabbitmqctl add_vhost {vhost}; rabbitmqctl set_permissions "
        f"-p {vhost} {user} {_RIGHTS})"
    )
