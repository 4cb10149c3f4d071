"""An API that is frozen until nginx gives up records nothing of that request afterwards."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from common.mongo.connection import connect, open_database
from testbed.processes import children_of, stand_still
from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import Roles

LIMIT_S = 4
SETTINGS = {
    "DARKROOM_REQUEST_LIMIT_S": str(LIMIT_S),
    "DARKROOM_STORE_TIMEOUT_S": "1",
}
REQUESTS = 5


def test_requests_that_nginx_has_given_up_record_nothing(system: Roles) -> None:
    workers = children_of(system.api.pid)
    for worker in workers:
        stand_still(worker)

    with ThreadPoolExecutor(max_workers=REQUESTS) as clients:
        sent = [clients.submit(system.client.post_form, an_image()) for _ in range(REQUESTS)]
        answers = [one.result().status_code for one in sent]
    for worker in workers:
        os.kill(worker, signal.SIGCONT)

    assert answers == [503] * REQUESTS
    # What was in uWSGI's queue comes first.
    wait_for(lambda: system.client.post_form(an_image()).status_code == 202)
    wait_for(lambda: system.requests_in_hand == 0)
    with connect(system.settings["DARKROOM_MONGO_URL"], timeout_s=10) as client:
        recorded = list(open_database(client, system.database)["jobs"].find({}, {"_id": True}))
    assert len(recorded) == 1
