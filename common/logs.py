"""Structured logs: one event a line, for people (console) or machines (JSON)."""

import json
import logging
import math
import sys
from typing import Any, Literal

import structlog
from structlog.typing import Processor

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(*, role: str, level: str, style: Literal["console", "json"]) -> None:
    """Send every log line of this process, ours and the libraries', to stderr in one form."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[
                _naming(role),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(style),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # pika logs every step of every handshake, and every failure in full, at these levels;
    # what matters of it is logged by our own adapters.
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def _as_json(event: object, **options: Any) -> str:
    """Write JSON, which has neither NaN nor infinity: parsers of the log would fail."""
    try:
        return json.dumps(event, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_in_text(event), allow_nan=False, **options)


def _in_text(value: object) -> object:
    """Return *value* with numbers that JSON lacks as text."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {str(key): _in_text(one) for key, one in value.items()}
        case list() | tuple():
            return [_in_text(one) for one in value]
        case _:
            return value


def _traceback(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the traceback, if the error can be formatted: user code may raise anything there."""
    try:
        return structlog.processors.dict_tracebacks(logger, method, event)
    except BaseException as exc:  # noqa: BLE001 (of user code, and a log line must not end us)
        event.pop("exc_info", None)
        return {**event, "exception": f"cannot be shown: {type(exc).__name__}"}


def _naming(role: str) -> Processor:
    def add_role(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        return {"role": role, **event}

    return add_role


def _renderers(style: Literal["console", "json"]) -> tuple[Processor, ...]:
    if style == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_as_json)
        return (_traceback, renderer)
    return (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    )
