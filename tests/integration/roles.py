"""Our own roles as processes, on servers that a test may harm."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded import roles
from embedded.nginx import EmbeddedNginx
from embedded.programs import HOST, Program
from tests.e2e.client import Client
from tests.servers import free_port, running
from tests.waiting import wait_for

_MAX_BODY_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Roles:
    """One nginx, one api, one consumer, one courier."""

    client: Client
    consumer: "subprocess.Popen[bytes]"
    courier: "subprocess.Popen[bytes]"
    consumer_program: Program

    def another_consumer(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Run one more consumer until the end of the block."""
        return running(self.consumer_program)


@contextmanager
def running_roles(
    folder: Path, *, amqp_url: str, mongo_url: str, **settings: str
) -> Iterator[Roles]:
    """Run the roles until the end of the block; yield once a job would be classified."""
    environment = {
        "DARKROOM_AMQP_URL": amqp_url,
        "DARKROOM_MONGO_URL": mongo_url,
        "DARKROOM_MONGO_DATABASE": f"test-{uuid.uuid4().hex}",
        "DARKROOM_STATE_DIR": str(folder),
        **settings,
    }
    api_port, port = free_port(), free_port()
    nginx = EmbeddedNginx(
        folder=folder / "nginx", port=port, api_port=api_port, max_body_bytes=_MAX_BODY_BYTES
    )
    nginx.prepare()
    [consumer] = roles.consumers(1, environment, grace_s=10)
    client = Client(f"http://{HOST}:{port}")
    with ExitStack() as opened:
        consuming = opened.enter_context(running(consumer))
        courier = opened.enter_context(running(roles.courier(environment, grace_s=10)))
        opened.enter_context(running(roles.api(api_port, environment)))
        opened.enter_context(running(nginx.program()))
        wait_for(client.is_ready, within_s=60, what="the roles are ready")
        yield Roles(client, consuming, courier, consumer)
