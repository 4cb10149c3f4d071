"""The composition root of the API: uWSGI imports ``app`` after its fork (lazy-apps)."""

import atexit

import structlog
from flask import Flask

from api.app import create_app
from common import logs
from common.errors import StoreUnavailableError
from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.jobs import MongoJobStore
from common.mongo.workers import MongoWorkerRegistry
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.topology import parameters
from common.settings import Settings, load_or_exit

log = structlog.stdlib.get_logger(__name__)

# uWSGI ends when a worker ends with this status; after any other it starts another worker.
_FAILED_APP = 22


def compose(settings: Settings) -> Flask:
    """Open the connections of this process, and make the application on them."""
    logs.configure(role="api", level=settings.log_level, style=settings.log_format)
    client = connect(settings.mongo_url.get_secret_value(), timeout_s=settings.store_timeout_s)
    database = open_database(client, settings.mongo_database)
    now_ms = ServerClock(database).now_ms
    store = MongoJobStore(database, now_ms=now_ms, publish_after_s=settings.publish_after_s)
    publisher = RabbitPublisher(
        parameters(
            settings.amqp_url.get_secret_value(),
            heartbeat_s=settings.amqp_heartbeat_s,
            name="api",
        ),
        timeout_s=settings.publish_timeout_s,
    )
    atexit.register(client.close)
    atexit.register(publisher.close)
    try:
        store.ensure_indexes()
    except StoreUnavailableError as exc:  # the courier makes them when the store is there
        log.warning("starting without the store", error=str(exc))
    registry = MongoWorkerRegistry(database, now_ms=now_ms, lease_s=settings.lease_s)
    return create_app(settings, store=store, registry=registry, publisher=publisher)


app = compose(load_or_exit(Settings, status=_FAILED_APP))
