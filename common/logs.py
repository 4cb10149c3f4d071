"""Structured logs: one event a line, for people (console) or machines (JSON)."""

import json
import logging
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
    # pika tells every step of every handshake, and every failed one in full, at these levels;
    # what matters of it is logged by our own adapters.
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def _as_json(event: object, **options: Any) -> str:
    """Write JSON, which has neither NaN nor infinity: a reader of the log would stumble."""
    try:
        return json.dumps(event, allow_nan=False, **options)
    except ValueError:
        return json.dumps({"event": repr(event)}, **options)


def _naming(role: str) -> Processor:
    def add_role(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        return {"role": role, **event}

    return add_role


def _renderers(style: Literal["console", "json"]) -> tuple[Processor, ...]:
    if style == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_as_json)
        return (structlog.processors.dict_tracebacks, renderer)
    return (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    )
