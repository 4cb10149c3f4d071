"""Errors the service raises on purpose, arranged by what a caller does next."""


class DarkroomError(Exception):
    """Base of every error raised deliberately by this code."""


class TransientError(DarkroomError):
    """The same call may succeed later: hold the delivery, or answer 503."""


class PermanentError(DarkroomError):
    """Repeating the call cannot help: fail the job, or answer 4xx."""


class BrokerUnavailableError(TransientError):
    """RabbitMQ cannot be reached, does not answer in time, or accepts no messages now."""


class StoreUnavailableError(TransientError):
    """MongoDB cannot be reached, or did not answer in time."""


class StoreFullError(StoreUnavailableError):
    """MongoDB has no space left; it can still be read."""


class StoreRefusedError(PermanentError):
    """MongoDB answered, and refused the call: the same call would be refused again."""


class StoreForbiddenError(StoreRefusedError):
    """MongoDB does not allow the call: the name, the password or the rights are wrong."""


class RepeatedSubmissionError(PermanentError):
    """There is already a job with the same idempotency key; this one was not recorded."""


class StaleJobError(PermanentError):
    """Somebody else moved the job first: what the caller knew is no longer true."""


class MalformedMessageError(PermanentError):
    """The body of a delivery is not a message of ours."""


class UnreadableRecordError(PermanentError):
    """The store has a record that this version cannot read: a later one wrote it, or it is damaged.

    It is left unchanged.
    """
