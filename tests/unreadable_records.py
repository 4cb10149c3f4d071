"""Records that no version can read: they must obstruct nobody, and stay unchanged."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pika.adapters.blocking_connection import BlockingChannel
from pymongo.database import Database

from common.jobs import JobState, new_job_id
from common.messages import ClassifyMessage
from common.rabbitmq.topology import EXCHANGE, ROUTING_KEY
from tests.records import DAMAGES, FULL_JOB, damaged, document_of, in_state

Documents = dict[str, Mapping[str, Any]]

# As they lie before whoever looks for what is due, for what is lost, and for dead owners.
_PLACES: Final = (
    (JobState.PENDING, {"publish_due_ms": 1, "pending_since_ms": 1}),
    (JobState.PENDING, {"waiting_ms": 1, "pending_since_ms": 1}),
    (JobState.PROCESSING, {"pending_since_ms": 1}),
)


def sow(database: Database[dict[str, Any]], channel: BlockingChannel) -> Documents:
    """Record jobs that are damaged in every way, send their messages, and return the records."""
    documents = [_document(damage, *place) for damage in DAMAGES for place in _PLACES]
    database["jobs"].insert_many(documents)
    channel.confirm_delivery()  # or some may be lost when the channel is closed
    for document in documents:
        message = ClassifyMessage(id=document["_id"], model="echo", fence=FULL_JOB.fence)
        channel.basic_publish(EXCHANGE, ROUTING_KEY, message.encode())
    return {document["_id"]: document for document in documents}


def _document(damage: str, state: JobState, members: Mapping[str, Any]) -> dict[str, Any]:
    job = replace(in_state(FULL_JOB, state), job_id=new_job_id())
    document = document_of(job, **members)
    document["idempotency"]["key"] = job.job_id
    return damaged(document, damage)


def changed(database: Database[dict[str, Any]], documents: Documents) -> list[str]:
    """Return those of *documents* that have changed, apart from when they are due."""
    found = {document["_id"]: document for document in database["jobs"].find()}
    return [
        job_id
        for job_id, document in documents.items()
        if _essence(found.get(job_id, {})) != _essence(document)
    ]


def _essence(document: Mapping[str, Any]) -> dict[str, Any]:
    # A claim that is undone raises the fence, as every move does.
    moving = ("fence", "publish_due_ms", "waiting_ms", "pending_since_ms", "started_at")
    return {name: value for name, value in document.items() if name not in moving}
