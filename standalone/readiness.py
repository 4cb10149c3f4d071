"""Cheap checks of a server: whether it listens, and speaks its protocol."""

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from standalone.programs import HOST

_PATIENCE_S = 2


def listens(port: int) -> bool:
    """Return whether something accepts connections on *port*."""
    try:
        socket.create_connection((HOST, port), timeout=_PATIENCE_S).close()
    except OSError:
        return False
    return True


def listens_at(path: Path) -> bool:
    """Return whether something accepts connections at the unix socket *path*."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def speaks_amqp(port: int) -> bool:
    """Return whether *port* answers the AMQP header with a method frame.

    RabbitMQ opens the port a little before it serves it.

    Source: AMQP 0-9-1, section 4.2.2 (protocol header) and 4.2.3 (frame type 1).
    """
    try:
        with socket.create_connection((HOST, port), timeout=_PATIENCE_S) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def ask(port: int, path: str, *, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Return the status and JSON of *path*; status 0 and the reason if nothing answers."""
    connection = HTTPConnection(HOST, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, HTTPException, ValueError) as exc:
        return 0, {"detail": str(exc)}
    finally:
        connection.close()
