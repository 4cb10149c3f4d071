"""Our own roles as processes, on servers that a test may harm."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from embedded import roles
from embedded.nginx import EmbeddedNginx
from embedded.programs import HOST, Program
from tests.e2e.client import Client
from tests.namespaces import Namespace, carried
from tests.servers import Server, free_port, running
from tests.waiting import wait_for

GRACE_S = 5.0
_MAX_BODY_BYTES = 20 * 1024**2

# Takes its time over any image but the one of 64 pixels, with which the engine warms up.
_SLOW = """
import time
from pathlib import Path

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        if images[0].width != 64:
            with Path({count!r}).open("a") as count:
                count.write("one more\\n")
            time.sleep({seconds})
        return [[("slow", 1.0)] for _ in images]
"""


@dataclass(frozen=True)
class Roles:
    """One nginx, one api, one consumer, one courier."""

    client: Client
    servers: dict[str, Server]

    @property
    def api(self) -> Server:
        return self.servers["api"]

    @property
    def consumer(self) -> "subprocess.Popen[bytes]":
        return self._process("consumer-1")

    @property
    def courier(self) -> "subprocess.Popen[bytes]":
        return self._process("courier")

    def another_consumer(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Run one more consumer until the end of the block."""
        return running(self.servers["consumer-1"].program)

    def _process(self, name: str) -> "subprocess.Popen[bytes]":
        process = self.servers[name].process
        assert process is not None
        return process


@dataclass(frozen=True)
class SlowModel:
    """A model that takes *seconds* for an image, and counts how often it was asked."""

    folder: Path
    seconds: float

    @property
    def settings(self) -> dict[str, str]:
        """Install the model, and return the settings with which roles serve it."""
        home = self.folder / "models" / "slow"
        home.mkdir(parents=True)
        code = _SLOW.format(count=str(self._count), seconds=self.seconds)
        (home / "predictor.py").write_text(code)
        (home / "model.toml").write_text('predictor = "predictor:Predictor"')
        return {"DARKROOM_MODELS": "slow", "DARKROOM_MODELS_DIR": str(home.parent)}

    @property
    def inferences(self) -> int:
        return len(self._count.read_text().splitlines()) if self._count.exists() else 0

    @property
    def _count(self) -> Path:
        return self.folder / "inferences"


def environment(folder: Path, *, amqp_url: str, mongo_url: str, **settings: str) -> dict[str, str]:
    """Give the settings of roles that write to *folder* and use a database of their own."""
    return {
        "DARKROOM_AMQP_URL": amqp_url,
        "DARKROOM_MONGO_URL": mongo_url,
        "DARKROOM_MONGO_DATABASE": f"test-{uuid.uuid4().hex}",
        "DARKROOM_STATE_DIR": str(folder),
        "DARKROOM_GRACE_S": f"{GRACE_S:g}",
        **settings,
    }


def programs(settings: dict[str, str], api_port: int) -> list[Program]:
    """Return a consumer, a courier and an api."""
    return [
        *roles.consumers(1, settings, grace_s=GRACE_S),
        roles.courier(settings, grace_s=GRACE_S),
        roles.api(api_port, settings, grace_s=GRACE_S),
    ]


@contextmanager
def running_roles(
    folder: Path,
    inside: Namespace | None = None,
    /,
    *,
    amqp_url: str,
    mongo_url: str,
    **settings: str,
) -> Iterator[Roles]:
    """Run the roles until the end of the block; yield once a job would be classified.

    What the role ``consumer-1`` logs is in *folder*, in ``consumer-1.log``, and so on.

    Args:
        folder: What they write lies here.
        inside: The network in which they run; nginx runs on the machine itself.
        amqp_url: RabbitMQ, as they see it.
        mongo_url: MongoDB, likewise.
        settings: More of them.
    """
    chosen = environment(folder, amqp_url=amqp_url, mongo_url=mongo_url, **settings)
    api_port, port = free_port(), free_port()
    with ExitStack() as opened:
        servers = {
            program.name: Server(_moved(program, inside), log=folder / f"{program.name}.log")
            for program in programs(chosen, api_port)
        }
        for server in servers.values():
            opened.callback(server.stop)
            server.start()
        nginx = EmbeddedNginx(
            folder=folder / "nginx",
            port=port,
            api_port=opened.enter_context(carried(api_port, connect_in=inside))
            if inside
            else api_port,
            max_body_bytes=_MAX_BODY_BYTES,
        )
        nginx.prepare()
        opened.enter_context(running(nginx.program()))
        client = Client(f"http://{HOST}:{port}")
        wait_for(client.is_ready, within_s=60, what="the roles are ready")
        yield Roles(client, servers)


def _moved(program: Program, inside: Namespace | None) -> Program:
    if inside is None:
        return program
    return replace(program, command=inside.command(*program.command), is_ready=lambda: True)
