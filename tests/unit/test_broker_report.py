"""The courier logs what is wrong with RabbitMQ: at once when it changes, otherwise repeatedly."""

import pytest

from common.errors import StoreUnavailableError
from courier.duties.broker_report import BrokerReport
from tests.fakes import InMemoryEvidence


class Teller:
    """The duty that logs, the trouble that it finds, and the time."""

    def __init__(self) -> None:
        self.evidence = InMemoryEvidence()
        self.trouble = ""
        self.now_s = 0.0
        self.report = BrokerReport(
            evidence=self.evidence,
            trouble=lambda: self.trouble,
            interval_s=5,
            clock_s=lambda: self.now_s,
        )


def test_what_is_wrong_is_reported_at_once_when_it_changes() -> None:
    reporter = Teller()
    reporter.report.report()
    assert reporter.evidence.latest() == ""

    reporter.trouble = "a right is missing"
    reporter.report.report()
    assert reporter.evidence.latest() == "a right is missing"

    reporter.trouble = ""
    reporter.report.report()
    assert reporter.evidence.latest() == ""


def test_what_has_not_changed_is_repeated_after_a_while() -> None:
    reporter = Teller()
    for reporter.now_s in (0, 1, 4.9):
        reporter.report.report()
    assert reporter.evidence.noted == 1

    reporter.now_s = 5
    reporter.report.report()

    assert reporter.evidence.noted == 2


def test_what_the_store_did_not_take_is_reported_in_the_next_round() -> None:
    reporter = Teller()
    reporter.evidence.is_down = True
    with pytest.raises(StoreUnavailableError):
        reporter.report.report()

    reporter.evidence.is_down = False
    reporter.report.report()

    assert reporter.evidence.latest() == ""
