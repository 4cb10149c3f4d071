"""The benchmark's instruments: records in any number, and counted bytes."""

import socket
import threading
from pathlib import Path

from benchmarks.records import Filler
from common.jobs import JobId, JobState
from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.jobs import MongoJobStore
from testbed.counting import counting
from testbed.parts import make_store
from testbed.server import running


def test_a_filled_store_holds_jobs_as_the_service_writes_them(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with running(store.program()), connect(store.url, timeout_s=30) as client:
        database = open_database(client, "bench")
        now_ms = ServerClock(database).now_ms
        filler = Filler(database, store, now_ms=now_ms())

        filler.add(JobState.DONE, 100)
        filler.add(JobState.PENDING, 10)

        assert database["jobs"].count_documents({}) == 110
        assert database["images"].count_documents({}) == 110
        jobs = MongoJobStore(database, now_ms=now_ms, publish_after_s=5)
        found = [jobs.get(JobId(one["_id"])) for one in database["jobs"].find({}, {"_id": True})]
        assert sum(job is not None and job.state is JobState.DONE for job in found) == 100
        assert len({job.job_id for job in found if job is not None}) == 110
        assert all(job is not None and jobs.image(job.job_id) for job in found)


def test_the_proxy_carries_bytes_and_counts_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = threading.Thread(target=_echo, args=(server,))
        echo.start()
        with (
            counting(server.getsockname()[1]) as carried,
            socket.create_connection(("127.0.0.1", carried.port)) as client,
        ):
            client.sendall(b"x" * 1000)
            received = _exactly(client, 500)
        echo.join()

    assert received == b"y" * 500
    assert (carried.sent_bytes, carried.received_bytes) == (1000, 500)


def _echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        _exactly(connection, 1000)
        connection.sendall(b"y" * 500)


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (some := connection.recv(size)):
        received += some
    return received
