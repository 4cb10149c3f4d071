"""The composition root of the API: uWSGI imports ``app`` after its fork (lazy-apps)."""

import atexit
from contextlib import ExitStack, closing

import structlog
from flask import Flask

from api import request_threads
from api.app import create_app
from api.jobs.published_marks import PublishedMarks
from api.jobs.room import Room
from api.jobs.waiting import Waits
from common import logs
from common.errors import StoreRefusedError, StoreUnavailableError
from common.memory import MEBIBYTE, share_one_heap
from common.mongo.stores import opened_stores
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.topology import parameters
from common.settings.api import ApiSettings
from common.settings.loading import load_or_exit

log = structlog.stdlib.get_logger(__name__)

# uWSGI exits if a worker exits with this status; after any other it starts a new worker.
_FAILED_APP = 22


def compose(settings: ApiSettings) -> Flask:
    """Open the connections of this process, and make the application on them."""
    share_one_heap()
    logs.configure(role="api", level=settings.log_level, style=settings.log_format)
    opened = ExitStack()
    atexit.register(opened.close)
    stores = opened.enter_context(opened_stores(settings))
    publisher = opened.enter_context(closing(_publisher(settings)))
    try:
        stores.ensure_indexes()
    except (StoreUnavailableError, StoreRefusedError) as exc:
        # The courier creates the indexes as soon as the store allows it.
        log.warning("starting although the store does not answer", error=str(exc))
    marks = opened.enter_context(closing(PublishedMarks(stores.jobs)))
    return create_app(
        settings,
        store=stores.jobs,
        registry=stores.workers,
        publisher=publisher,
        evidence=stores.evidence,
        room=Room(
            stores.usage,
            folders=settings.disk_folders,
            min_free_bytes=settings.min_free_mb * MEBIBYTE,
            max_stored_bytes=settings.max_stored_bytes,
        ),
        note_published=marks.note,
        waits=Waits(
            stores.jobs,
            longest_s=settings.longest_wait_s,
            threads=request_threads.count,
            is_stopping=request_threads.are_ending,
        ),
    )


def _publisher(settings: ApiSettings) -> RabbitPublisher:
    described = parameters(
        settings.amqp_url.get_secret_value(), heartbeat_s=settings.amqp_heartbeat_s, name="api"
    )
    return RabbitPublisher(described, timeout_s=settings.publish_timeout_s)


app = compose(load_or_exit(ApiSettings, status=_FAILED_APP))
