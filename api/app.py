"""The Flask application, made of parts that are handed in."""

from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from typing import Protocol

import structlog
from flask import Flask, Request
from werkzeug.datastructures import MultiDict

from api import cors, health, jobs, models, openapi, page, problems, samples
from api.catalog import ModelCatalog
from api.problems import ProblemError
from api.room import Room
from api.submission import Submission
from api.waiting import Waits
from common.intake import Limits
from common.jobs import Job
from common.ports import BrokerEvidence, JobStore, Publisher, WorkerRegistry
from common.settings import Settings


class OpenPublisher(Publisher, Protocol):
    """A publisher that knows whether RabbitMQ takes messages."""

    @property
    def trouble(self) -> str:
        """Why a message sent now would not arrive, as far as is known; empty if it would."""
        ...


class _Request(Request):
    """Answers a query that is no text with a problem."""

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """Return the parameters of the query.

        Raises:
            ProblemError: The query has bytes that are no text (400).
        """
        try:
            return super().args
        except UnicodeDecodeError as exc:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "query-broken",
                "The query is not valid",
                f"The query has a byte that is not UTF-8, at position {exc.start}. Percent-encode "
                "the query as UTF-8.",
            ) from exc


def create_app(  # noqa: PLR0913 (the parts of the app, each by its name)
    settings: Settings,
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
    app.url_map.merge_slashes = False  # else `//` is answered with a redirect, in HTML
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # The id first, as the schemas have it: people read these answers too.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    catalog = ModelCatalog(registry, configured=settings.models, default=settings.model)
    submission = Submission(
        store=store,
        publisher=publisher,
        catalog=catalog,
        limits=Limits(bytes=settings.max_image_bytes, pixels=settings.max_image_pixels),
        room=room,
        note_published=note_published,
    )
    app.before_request(structlog.contextvars.clear_contextvars)
    problems.register(app)
    cors.allow(app, settings.cors_origins)
    app.register_blueprint(jobs.create_blueprint(settings, store, submission, waits))
    app.register_blueprint(models.create_blueprint(catalog))
    app.register_blueprint(
        health.create_blueprint(registry, lambda: publisher.trouble, evidence, room.shortage)
    )
    app.register_blueprint(openapi.create_blueprint(settings))
    app.register_blueprint(page.create_blueprint())
    app.register_blueprint(samples.create_blueprint(settings.models_dir, settings.models))
    return app
