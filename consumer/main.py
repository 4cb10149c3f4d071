"""The composition root of the consumer."""

import os
import socket
import threading
import uuid
from contextlib import ExitStack, closing
from functools import partial

import structlog

from common import logs
from common.errors import StoreRefusedError, StoreUnavailableError
from common.jobs import OwnerId
from common.memory import MEBIBYTE
from common.mongo.stores import opened_stores
from common.pulse import Pulse
from common.rabbitmq.deliveries import RabbitDeliveries
from common.rabbitmq.topology import parameters
from common.retries import until_stopped
from common.settings.consumer import ConsumerSettings
from common.settings.loading import load_or_exit
from common.settings.shared import LANES_PER_ENGINE
from common.stopping import Stop, stop_on_signals
from common.workers import WorkerRecord
from consumer.engines.keeper import EngineKeeper
from consumer.engines.pool import EnginePool
from consumer.engines.process import EngineLimits
from consumer.handler import Handler
from consumer.heartbeat import Heartbeat
from consumer.lanes import Lanes
from consumer.trouble import Trouble
from consumer.worker import Worker
from engine.extras import lacked_formats
from engine.protocol import EngineConfig
from engine.runtimes.computing import Computing

log = structlog.stdlib.get_logger(__name__)

_LOOK_AGAIN_S = 0.1


def main() -> int:
    """Consume until SIGTERM or SIGINT; return the exit status."""
    settings = load_or_exit(ConsumerSettings)
    logs.configure(role="consumer", level=settings.log_level, style=settings.log_format)
    owner = OwnerId(f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    stop = stop_on_signals(grace_s=settings.grace_s)
    with ExitStack() as opened:
        stores = opened.enter_context(opened_stores(settings))
        engines, trouble = _engines(settings, stop.asked), Trouble()
        describe = partial(_describe, owner, engines, trouble)
        heartbeat = opened.enter_context(
            Heartbeat(stores.workers, describe, lease_s=settings.lease_s).beating()
        )
        trouble.on_change = heartbeat.beat_now
        handler = Handler(
            store=stores.jobs,
            engines=engines,
            owner=owner,
            max_attempts=settings.max_attempts,
            patiently=until_stopped(stop.hurried, StoreUnavailableError, StoreRefusedError),
        )
        # After the engines' end, before the store's: what was asked then is given back.
        lanes = opened.enter_context(closing(_lanes(settings, handler)))
        opened.enter_context(closing(engines))
        engines.start(on_change=heartbeat.beat_now)
        worker = Worker(
            _deliveries(settings, stop),
            lanes,
            stop=stop,
            pulse=Pulse(settings.pulse_file),
            trouble=trouble,
        )
        _wait_for_a_model(engines, stop.asked)
        worker.run(prefetch_count=settings.prefetch_count)
    log.info("stopped")
    return 0


def _deliveries(settings: ConsumerSettings, stop: Stop) -> RabbitDeliveries:
    how = parameters(
        settings.amqp_url.get_secret_value(),
        heartbeat_s=settings.amqp_heartbeat_s,
        name="consumer",
    )
    return RabbitDeliveries(how, stop=stop)


def _engines(settings: ConsumerSettings, stopping: threading.Event) -> EnginePool:
    config, limits = _engine_config(settings), _limits(settings)
    if (asked := settings.engines * settings.engine_threads) > settings.cores:
        log.warning("using fewer threads than configured: there are no more cores", asked=asked)
    log.info(
        "engines",
        engines=settings.engine_count,
        threads=settings.threads_per_engine,
        cores=settings.cores,
    )
    engines = [
        EngineKeeper(config, limits=limits, stopping=stopping) for _ in range(settings.engine_count)
    ]
    return EnginePool(engines, stopping=stopping)


def _lanes(settings: ConsumerSettings, handler: Handler) -> Lanes:
    return Lanes(
        handler.handle,
        count=settings.engine_count * LANES_PER_ENGINE,
        batch_size=settings.batch_size,
        batch_wait_s=settings.batch_wait_ms / 1000,
    )


def _engine_config(settings: ConsumerSettings) -> EngineConfig:
    return EngineConfig(
        models=settings.models,
        models_dir=settings.models_dir.absolute(),
        weights_dir=settings.weights_dir.absolute(),
        threads=settings.threads_per_engine,
        lines=LANES_PER_ENGINE,
        runtime=settings.runtime,
        max_image_pixels=settings.max_image_pixels,
        log_level=settings.log_level,
        log_format=settings.log_format,
        decode_limit_s=settings.decode_limit_s,
        dct_scaling=settings.dct_scaling,
        computing=Computing(
            device=settings.device,
            precision=settings.precision,
            compiles=settings.compile,
            largest_batch=settings.batch_size,
        ),
    )


def _limits(settings: ConsumerSettings) -> EngineLimits:
    return EngineLimits(
        start_s=settings.engine_start_limit_s,
        job_s=settings.job_time_limit_s,
        memory_bytes=settings.engine_memory_limit_mb * MEBIBYTE,
        max_jobs=settings.engine_max_jobs,
        max_resident_bytes=settings.engine_max_rss_mb * MEBIBYTE,
    )


def _describe(owner: OwnerId, engines: EnginePool, trouble: Trouble) -> WorkerRecord:
    return WorkerRecord(
        worker_id=owner,
        host=socket.gethostname(),
        pid=os.getpid(),
        models=engines.models,
        trouble=trouble.text,
        lacks=lacked_formats(),
    )


def _wait_for_a_model(engines: EnginePool, stopping: threading.Event) -> None:
    """Take no deliveries while there is no model to answer them with."""
    while not (stopping.is_set() or any(model.is_ready for model in engines.models)):
        stopping.wait(_LOOK_AGAIN_S)
