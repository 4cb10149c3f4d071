"""The Flask application."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import structlog
from flask import Flask, Request
from werkzeug.datastructures import MultiDict

from api import cors, error_handlers, openapi, page
from api.health.views import create_health
from api.jobs.room import Room
from api.jobs.submission import Submission
from api.jobs.views import create_jobs
from api.jobs.waiting import Waits
from api.models.catalog import ModelCatalog
from api.models.views import create_models
from api.problems import ProblemError
from api.samples.views import create_samples
from common.intake import ImageLimits
from common.jobs import Job
from common.ports.evidence import BrokerEvidence
from common.ports.jobs import JobStore
from common.ports.publisher import Publisher
from common.ports.workers import WorkerRegistry
from common.problems import answers
from common.settings.api import ApiSettings


class OpenPublisher(Publisher, Protocol):
    """A publisher that knows whether RabbitMQ accepts messages."""

    @property
    def trouble(self) -> str:
        """Why a message sent now would not arrive, as far as known; empty if it would."""
        ...


class _Request(Request):
    """Answers a query that is not text with a problem."""

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """Return the parameters of the query.

        Raises:
            ProblemError: The query has bytes that are not UTF-8 (400).
        """
        try:
            return super().args
        except UnicodeDecodeError as exc:
            raise ProblemError(
                answers.QUERY_BROKEN,
                f"The query has a byte that is not UTF-8, at position {exc.start}. Percent-encode "
                "the query as UTF-8.",
            ) from exc


def create_app(  # noqa: PLR0913 (the parts of the app, each by its name)
    settings: ApiSettings,
    *,
    store: JobStore,
    registry: WorkerRegistry,
    publisher: OpenPublisher,
    evidence: BrokerEvidence,
    room: Room,
    note_published: Callable[[Job], None],
    waits: Waits,
) -> Flask:
    """Make the application. It connects to nothing by itself."""
    app = Flask(__name__, static_folder=None)
    app.request_class = _Request
    app.url_map.merge_slashes = False  # otherwise `//` is answered with a redirect in HTML
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # In the order of the schemas, the id first: people read these answers, too.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    catalog = ModelCatalog(registry, configured=settings.models, default=settings.model)
    submission = Submission(
        store=store,
        publisher=publisher,
        catalog=catalog,
        limits=ImageLimits(bytes=settings.max_image_bytes, pixels=settings.max_image_pixels),
        room=room,
        note_published=note_published,
    )
    app.before_request(structlog.contextvars.clear_contextvars)
    error_handlers.register(app)
    cors.allow(app, settings.cors_origins)
    app.register_blueprint(create_jobs(settings, store, submission, waits))
    app.register_blueprint(create_models(catalog))
    app.register_blueprint(
        create_health(registry, lambda: publisher.trouble, evidence, room.shortage)
    )
    app.register_blueprint(openapi.create_blueprint(settings))
    app.register_blueprint(page.create_blueprint())
    app.register_blueprint(create_samples(settings.models_dir, settings.models))
    return app
