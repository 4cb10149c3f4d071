"""Clean text from others, so that it can be stored, logged and shown."""

from typing import Final

_CUT: Final = "…"
_UNFIT: Final = "\N{REPLACEMENT CHARACTER}"
# The only unprintable characters that are kept.
_LAYOUT: Final = frozenset("\n\t")


def cleaned(text: str, *, most: int) -> str:
    """Return *text* without what MongoDB or a terminal cannot take, cut to *most* characters.

    Halves of surrogate pairs, NULs and other control characters are replaced. The result is
    of the type ``str`` itself, whatever subclass *text* is of.
    """
    # Cut first: user code may hand over any amount. A subclass may override everything.
    head = str.__getitem__(text, slice(most + 1))
    fit = head if str.isprintable(head) else "".join(map(_fit, head))
    return fit if len(fit) <= most else fit[: most - 1] + _CUT


def text_of(error: BaseException) -> str:
    """Return the type and message of an error of user code, whose message may itself fail."""
    try:
        message = str(error)
    except BaseException as exc:  # noqa: BLE001 (user code may raise anything, here too)
        message = f"(its message cannot be read: {type(exc).__name__})"
    return f"{type(error).__name__}: {message}"


def joined(*remarks: str) -> str:
    """Join the *remarks* that are not empty."""
    return "; ".join(filter(None, remarks))


def _fit(character: str) -> str:
    return character if character.isprintable() or character in _LAYOUT else _UNFIT
