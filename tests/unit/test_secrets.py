"""Nothing that should be secret is in the repository."""

import subprocess
from pathlib import Path
from typing import Final

from tests.secret_scan import secrets_in

ROOT: Final = Path(__file__).parents[2]

_PASSWORD: Final = "Basic Auth Credentials"  # noqa: S105 (what the scanner calls them)
# The default of RabbitMQ on one's own machine, a digest in an example, and passwords that
# tests make up.
_KNOWN: Final = {
    ("README.md", "Hex High Entropy String"),
    ("README.md", _PASSWORD),
    ("common/settings/base.py", _PASSWORD),
    ("tests/unit/test_standalone_remembered.py", _PASSWORD),
    ("tests/unit/test_standalone_settings.py", _PASSWORD),
    ("tests/unit/test_standalone_status.py", _PASSWORD),
    ("tests/unit/test_standalone_status.py", "Secret Keyword"),
    ("tests/unit/test_standalone_supervision.py", "Secret Keyword"),
    ("tests/unit/test_problems.py", _PASSWORD),
    ("tests/unit/test_settings.py", _PASSWORD),
}


def test_the_repository_holds_no_secret() -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 (our own command)

    assert secrets_in(ROOT, files.stdout.splitlines()) <= _KNOWN


def test_a_secret_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("AWS_KEY=AKIA" + "QWERTYUIOPASDFGH\n")
    (tmp_path / "key.pem").write_text("-----BEGIN " + "RSA PRIVATE KEY-----\n")

    found = secrets_in(tmp_path, ["settings.env", "key.pem"])

    assert {file for file, _ in found} == {"settings.env", "key.pem"}
