"""The error that a user can do something about: one short line, whatever was in the input."""

__all__ = ["InputError", "SpikeloomError", "one_line"]

#: Characters of a message.
LIMIT = 500


def one_line(text, limit=LIMIT):
    """`text` without a control character (each is written as Python does), its middle left out beyond `limit`."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))
    if len(shown) <= limit:
        return shown
    first = (limit - 5) // 2
    return f"{shown[:first]} ... {shown[first + 5 - limit:]}"


class SpikeloomError(Exception):
    """Something that failed; the message is one line.

    Attributes
    ----------
    status : int
        Exit status of the command line: 1 for a run that failed or found a difference, 2 for unusable input.
    repeatable : bool
        Whether the same command shows the same again, so that it belongs to the message.
    """

    status = 1
    repeatable = False

    def __init__(self, message):
        super().__init__(one_line(message))


class InputError(SpikeloomError, ValueError):
    """An input that cannot be used; the message is one line that names the file or field, the rule and the value."""

    status = 2
