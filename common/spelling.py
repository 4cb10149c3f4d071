"""``DARKROOM_`` variables that nothing reads: most likely misspelt settings."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

# Read by something else than the settings of a role: the standalone system, compose, the images,
# nginx/start, the tests. A test holds this list against all of them.
# fmt: off
_ELSEWHERE: Final = frozenset(
    {
        "AMQP_PORT", "API", "API_BACKLOG", "API_BIND", "API_HEALTH_BIND", "CONNECTION_LIMIT",
        "CONSUMERS", "CONSUMER_CPUS", "CONSUMER_MEMORY", "DIST_PORT", "DRILL_WITHOUT",
        "ENV_FILE", "EPMD_PORT", "LISTEN", "MANAGEMENT_LISTEN", "MANAGEMENT_PORT",
        "MODELS_FOLDER", "MONGO_IMAGE", "MONGO_PASSWORD", "MONGO_PORT", "NGINX_IMAGE",
        "NGINX_PIECES", "NGINX_PREFIX", "PORT", "PUBLISH", "PUBLISH_TLS", "RABBITMQ_IMAGE",
        "RABBITMQ_PASSWORD", "RATE_LIMIT", "REQUEST_LIMIT_S", "RESOLVER", "ROOT", "RUN_DIR", "TAG",
        "TLS_CERTIFICATE", "TLS_KEY", "TRUSTED_PROXY",
    }
)
# fmt: on
_OF_TESTS: Final = "TEST_"


def unknown_settings(
    environ: Mapping[str, str], *, prefix: str, fields: Iterable[str]
) -> list[str]:
    """Say of each variable that begins with *prefix* and means nothing that it has no effect.

    Args:
        environ: The environment of the process.
        prefix: That of all settings.
        fields: The names of the settings that the process reads, without the prefix.
    """
    known = {field.upper() for field in fields} | _ELSEWHERE
    return [
        f"{name} is not a setting and has no effect{_guess(name, prefix, known)}"
        for name in sorted(environ)
        if name.startswith(prefix)
        and name.removeprefix(prefix) not in known
        and not name.startswith(prefix + _OF_TESTS)
    ]


def _guess(name: str, prefix: str, known: Iterable[str]) -> str:
    close = get_close_matches(name.removeprefix(prefix), sorted(known), n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
