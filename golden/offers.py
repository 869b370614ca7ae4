"""What other packages offer by entry points: found by name, imported when it is asked for."""

from functools import cache
from importlib.metadata import entry_points

from .errors import InputError

__all__ = ["OfferError", "load_offer", "offers", "refuse_offer"]


class OfferError(InputError):
    """Something of another package that cannot be used; the message names the entry point and the reason."""


def refuse_offer(entry, reason):
    """Raise `OfferError` for an entry point."""
    raise OfferError(f"entry point {entry.name} = {entry.value}: {reason}") from None


@cache
def offers(group):
    """Entry points of a group, by name.

    Raises
    ------
    OfferError
        If there are two of one name.
    """
    found = {}
    for entry in entry_points(group=group):
        if entry.name in found:
            refuse_offer(entry, f"{found[entry.name].value} has that name, too")
        found[entry.name] = entry
    return dict(sorted(found.items()))


def load_offer(entry, wanted, fits):
    """The object of an entry point.

    Parameters
    ----------
    entry : importlib.metadata.EntryPoint
    wanted : str
        What it must be, for the message.
    fits : callable
        Whether an object is.

    Raises
    ------
    OfferError
        If it cannot be imported, or is something else.
    """
    try:
        found = entry.load()
    except Exception as error:  # whatever another package does wrong
        refuse_offer(entry, f"{type(error).__name__}: {error}")
    if not fits(found):
        refuse_offer(entry, f"must be {wanted}")
    return found
