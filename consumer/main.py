"""The composition root of the consumer."""

import os
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial

import structlog

from common import logs
from common.errors import StoreUnavailableError
from common.jobs import OwnerId
from common.memory import MEBIBYTE
from common.mongo.stores import opened_stores
from common.rabbitmq.topology import parameters
from common.retries import until_stopped
from common.settings import Settings, load_or_exit
from common.stopping import stop_on_signals
from common.workers import Worker as WorkerRecord
from consumer.child import Limits
from consumer.engine import Engine
from consumer.handler import Handler
from consumer.heartbeat import Heartbeat
from consumer.protocol import EngineConfig
from consumer.worker import Worker

log = structlog.stdlib.get_logger(__name__)

_PREFETCH_COUNT = 1
_LOOK_AGAIN_S = 0.1


def main() -> int:
    """Consume until SIGTERM or SIGINT; return the exit status."""
    settings = load_or_exit(Settings)
    logs.configure(role="consumer", level=settings.log_level, style=settings.log_format)
    owner = OwnerId(f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    stop = stop_on_signals(grace_s=settings.grace_s)
    with ExitStack() as opened:
        stores = opened.enter_context(opened_stores(settings))
        engine = Engine(
            _engine_config(settings),
            limits=_limits(settings),
            stopping=stop.asked,
        )
        heartbeat = opened.enter_context(
            Heartbeat(stores.workers, partial(_describe, owner, engine), lease_s=settings.lease_s)
        )
        lane = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lane")
        # After the engine's end, before the store's: what was asked then is given back.
        opened.callback(lane.shutdown, cancel_futures=True)
        opened.enter_context(closing(engine))
        engine.start(on_change=heartbeat.beat_now)
        handler = Handler(
            store=stores.jobs,
            classifier=engine,
            owner=owner,
            max_attempts=settings.max_attempts,
            patiently=until_stopped(stop.hurried, StoreUnavailableError),
        )
        worker = Worker(
            parameters(
                settings.amqp_url.get_secret_value(),
                heartbeat_s=settings.amqp_heartbeat_s,
                name="consumer",
            ),
            handler.handle,
            lane=lane,
            stop=stop,
        )
        _wait_for_a_model(engine, stop.asked)
        worker.run(prefetch_count=_PREFETCH_COUNT)
    log.info("stopped")
    return 0


def _engine_config(settings: Settings) -> EngineConfig:
    return EngineConfig(
        models=settings.models,
        models_dir=settings.models_dir.absolute(),
        weights_dir=settings.weights_dir.absolute(),
        threads=settings.engine_threads,
        runtime=settings.runtime,
        max_image_pixels=settings.max_image_pixels,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        start_s=settings.engine_start_limit_s,
        job_s=settings.job_time_limit_s,
        memory_bytes=settings.engine_memory_limit_mb * MEBIBYTE,
        max_jobs=settings.engine_max_jobs,
        max_resident_bytes=settings.engine_max_rss_mb * MEBIBYTE,
    )


def _describe(owner: OwnerId, engine: Engine) -> WorkerRecord:
    return WorkerRecord(
        worker_id=owner, host=socket.gethostname(), pid=os.getpid(), models=engine.models
    )


def _wait_for_a_model(engine: Engine, stopping: threading.Event) -> None:
    """Take no deliveries while there is no model to answer them with."""
    while not (stopping.is_set() or any(model.is_ready for model in engine.models)):
        stopping.wait(_LOOK_AGAIN_S)
