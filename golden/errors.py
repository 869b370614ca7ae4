"""The error of everything that comes from outside: one short line, whatever was in the input."""

__all__ = ["InputError", "one_line"]

#: Characters of a message.
LIMIT = 500


def one_line(text, limit=LIMIT):
    """`text` without a control character (each is written as Python does), its middle left out beyond `limit`."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))
    if len(shown) <= limit:
        return shown
    first = (limit - 5) // 2
    return f"{shown[:first]} ... {shown[first + 5 - limit:]}"


class InputError(ValueError):
    """An input that cannot be used; the message is one line that names the file or field, the rule and the value."""

    def __init__(self, message):
        super().__init__(one_line(message))
