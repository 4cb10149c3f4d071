"""A container as a server that a drill may stop, kill and start again."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from standalone.programs import Program, Stage
from testbed.processes import children_of
from testbed.server import Server
from testbed.waiting import wait_for
from tests.compose.engine import Engine

_READY_WITHIN_S = 120


class Container(Server):
    """One container of a system.

    Args:
        engine: What runs it.
        service: What it is in docker-compose.yml.
        container_id: Its id, whose beginning is its host name.
        is_ready: Tells whether it serves.
    """

    def __init__(
        self,
        engine: Engine,
        service: str,
        container_id: str,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        program = Program(name=f"{service}-{container_id[:6]}", role=service, stage=Stage.WORKERS,
                          command=())  # fmt: skip
        super().__init__(program)
        self.service = service
        self.container_id = container_id
        self._engine = engine
        self._answers = is_ready

    @property
    def address(self) -> str:
        """Its address from outside, which may change with a restart."""
        return self.address_in("jobs")

    def address_in(self, network: str) -> str:
        """Return its address in a network of docker-compose.yml, or in its first network."""
        networks = self._state("NetworkSettings")["Networks"]
        addresses = {name.rpartition("_")[2]: its["IPAddress"] for name, its in networks.items()}
        return str(addresses.get(network, next(iter(addresses.values()))))

    @property
    def pid(self) -> int:
        """The role's process: the only child of the container's first."""
        [role] = children_of(self._state("State")["Pid"])
        return role

    @property
    def is_running(self) -> bool:
        return bool(self._state("State")["Running"])

    @property
    def health(self) -> str:
        state = self._state("State")
        return str(state.get("Health", {}).get("Status", "none"))

    @property
    def exit_status(self) -> int:
        return int(self._state("State")["ExitCode"])

    def launch(self) -> None:
        self._engine.run("start", self.container_id)

    def wait_until_ready(self) -> None:
        wait_for(
            lambda: self.is_running and self._answers(),
            within_s=_READY_WITHIN_S,
            what=f"{self.program.name} is ready",
        )

    def stop(self) -> int | None:
        """Stop it as ``docker stop`` does, with the grace period that its service has."""
        self._engine.run("stop", self.container_id)
        return self.exit_status

    def kill(self) -> None:
        with suppress(AssertionError):  # it has ended just now
            self._engine.run("kill", self.container_id)

    def freeze(self) -> None:
        self._engine.run("pause", self.container_id)

    def thaw(self) -> None:
        with suppress(AssertionError):  # it is not frozen
            self._engine.run("unpause", self.container_id)

    def printed(self) -> bytes:
        return self._engine.logs(self.container_id)

    def calls_itself(self, owner: str) -> bool:
        return owner.startswith(self.container_id[:12])

    def children(self) -> list[int]:
        return children_of(self.pid)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it."""
        return self._engine.run("exec", self.container_id, *command, check=check)

    def _state(self, part: str) -> dict[str, Any]:
        state: dict[str, Any] = self._engine.inspect(self.container_id)[part]
        return state


class ServerContainer(Container):
    """A server that tests also connect to, at its current address.

    Args:
        url_at: Its URL, with ``{address}`` where that stands.
        container: What every container is told.
    """

    def __init__(self, url_at: str, *container: Any) -> None:
        self._url_at = url_at
        super().__init__(*container)

    @property
    def url(self) -> str:
        return self._url_at.format(address=self.address)

    @url.setter
    def url(self, _at_first: str) -> None:
        """Ignore it: the address may change."""
