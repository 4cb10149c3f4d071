"""The courier tells what is wrong with RabbitMQ: at once when it changes, else now and then."""

import pytest

from common.errors import StoreUnavailableError
from courier.telling import Telling
from tests.fakes import InMemoryEvidence


class Teller:
    """A duty to tell, what it is to tell, and the time."""

    def __init__(self) -> None:
        self.evidence = InMemoryEvidence()
        self.trouble = ""
        self.now_s = 0.0
        self.telling = Telling(
            evidence=self.evidence,
            trouble=lambda: self.trouble,
            interval_s=5,
            clock_s=lambda: self.now_s,
        )


def test_what_is_wrong_is_told_at_once_when_it_changes() -> None:
    teller = Teller()
    teller.telling.tell()
    assert teller.evidence.latest() == ""

    teller.trouble = "a right is missing"
    teller.telling.tell()
    assert teller.evidence.latest() == "a right is missing"

    teller.trouble = ""
    teller.telling.tell()
    assert teller.evidence.latest() == ""


def test_what_has_not_changed_is_repeated_after_a_while() -> None:
    teller = Teller()
    for teller.now_s in (0, 1, 4.9):
        teller.telling.tell()
    assert teller.evidence.noted == 1

    teller.now_s = 5
    teller.telling.tell()

    assert teller.evidence.noted == 2


def test_what_the_store_did_not_take_is_told_in_the_next_round() -> None:
    teller = Teller()
    teller.evidence.is_down = True
    with pytest.raises(StoreUnavailableError):
        teller.telling.tell()

    teller.evidence.is_down = False
    teller.telling.tell()

    assert teller.evidence.latest() == ""
