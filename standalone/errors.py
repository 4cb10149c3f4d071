"""Why the system cannot start, as one line for the person who started it."""


class CannotStartError(Exception):
    """The system cannot start; the message says why and what to do."""
