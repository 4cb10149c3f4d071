"""Settings of the system on one machine: ports, and the number of consumers."""

from collections import Counter
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator

from common.cores import available_cores
from common.settings.api import ApiSettings
from common.settings.base import says
from common.settings.consumer import ConsumerSettings
from common.settings.courier import CourierSettings

ROOT: Final = Path(__file__).parent.parent


def _port(step: int, what: str) -> Any:
    """Make a setting: the port of *what*, which follows ``port`` if it is not given."""
    return Field(
        default_factory=lambda values: int(values.get("port", 0)) + step,
        ge=1024,
        le=65_535,
        description=f"{what}; unset: `DARKROOM_PORT` + {step}",
    )


class StandaloneSettings(ApiSettings, ConsumerSettings, CourierSettings):
    """The roles' settings and those of the servers that are started beside them.

    Ports that are not given follow ``port``, so that one setting moves a whole system.
    """

    port: int = Field(8080, ge=1024, le=65_000, description="the port of the service")
    mongo_port: int = _port(2, "the built-in store")
    amqp_port: int = _port(3, "the built-in RabbitMQ")
    management_port: int = _port(4, "RabbitMQ's management UI")
    dist_port: int = _port(5, "RabbitMQ's distribution")
    epmd_port: int = _port(6, "Erlang's port mapper")
    consumers: int = Field(
        default_factory=lambda: max(1, available_cores() // 2),
        ge=1,
        le=64,
        description="how many consumers to run; unset: one per two cores, at least one",
    )

    rate_limit: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="requests that one client address may send per second, and as many at once; "
        "more are refused with 429",
    )
    connection_limit: int = Field(
        1000,
        ge=1,
        le=65_535,
        description="requests of one client address that may be open at once, including those "
        "whose bodies still arrive; more are refused with 429",
    )
    trusted_proxy: str = Field(
        "",
        description="the address, or network, of the proxy in front of nginx, whose "
        "`X-Forwarded-For` has the client's address; empty: none",
        json_schema_extra=says("an address such as 192.0.2.1, or a network such as 10.0.0.0/8"),
    )

    @field_validator("trusted_proxy")
    @classmethod
    def _is_a_network(cls, value: str) -> str:
        # As nginx writes it, which knows no netmasks.
        return str(ip_network(value)) if value else value

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        names = [name for name in reversed(type(self).model_fields) if name.endswith("port")]
        taken = Counter(getattr(self, name) for name in names)
        # Blame a port that was given rather than one that follows `port`.
        for name in sorted(names, key=lambda name: name not in self.model_fields_set):
            number = getattr(self, name)
            if taken[number] > 1:
                raise ValueError(
                    f"DARKROOM_{name.upper()}={number} is invalid: "
                    "expected a port that no other DARKROOM_..._PORT uses"
                )
        return self

    @property
    def runs_own_mongo(self) -> bool:
        """Whether the store is started here: ``DARKROOM_MONGO_URL`` is not set."""
        return "mongo_url" not in self.model_fields_set

    @property
    def runs_own_rabbitmq(self) -> bool:
        """Whether RabbitMQ is started here: ``DARKROOM_AMQP_URL`` is not set."""
        return "amqp_url" not in self.model_fields_set

    @property
    def cores_per_consumer(self) -> int:
        """The given number, or an equal share of all cores."""
        if "cores" in self.model_fields_set:
            return self.cores
        return max(1, self.cores // self.consumers)

    @property
    def broker_alarm_mb(self) -> int:
        """The free space below which RabbitMQ accepts no messages; images are refused before.

        Of what must be free for those, half is the very least (api/jobs/room.py).
        """
        return max(1, min(200, self.min_free_mb * 2 // 5))

    @property
    def state_folder(self) -> Path:
        """``state_dir`` as an absolute path; a relative one is relative to the code's folder."""
        return ROOT / self.state_dir

    @property
    def weights_folder(self) -> Path:
        """``weights_dir``, likewise."""
        return ROOT / self.weights_dir
