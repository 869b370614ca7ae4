"""The entry point: whatever goes wrong, and whatever signal comes, ends in one line and an exit status.

2: input that cannot be used. 1: a difference, or a run that failed. 70: an error of Spikeloom's own. 128 and more:
a signal. Nothing is imported before signals are caught.
"""

import os
import signal
import sys
from contextlib import suppress

__all__ = ["Stopped", "protected", "run"]

#: Of an error that nobody foresaw (EX_SOFTWARE).
INTERNAL = 70
#: Set to anything, it lets such an error show where it comes from.
TRACEBACK = "SPIKELOOM_TRACEBACK"


class Stopped(BaseException):
    """A signal that asks for an end; everything is left in order on its way up."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def _open_streams():
    """Give a stream that the caller has closed something to write to, so that no file of ours gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115 (for the whole run)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no error


def _stop(number, _):
    for other in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # a second one may not disturb the way up
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _foreign(error):
    """The file that `error` comes from and the module of Python whose name it has; None if there is no such file."""
    paths = [getattr(error, "path", None), getattr(error, "filename", None),  # of ImportError and of SyntaxError
             getattr(getattr(error, "obj", None), "__file__", None)]  # of AttributeError
    place = error.__traceback__
    while place:
        paths.append(place.tb_frame.f_code.co_filename)
        place = place.tb_next
    for path in filter(None, paths):
        module = os.path.dirname(path) if os.path.basename(path) == "__init__.py" else os.path.splitext(path)[0]
        folder, name = os.path.split(module)
        if name in sys.stdlib_module_names and folder in sys.path and folder != os.path.dirname(os.__file__):
            return path, name
    return None


def _explain(error):
    """Message and exit status of an error."""
    from ..golden.errors import SpikeloomError

    if isinstance(error, SpikeloomError):
        if error.repeatable:  # every option has a default, so the same words give the same run, seed included
            from shlex import join

            return f"{error}; again with: {join(['spikeloom', *sys.argv[1:]])}", error.status
        return str(error), error.status
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), 2
    if hasattr(error, "format_message"):  # Typer's; its words are a sentence
        message = " ".join(error.format_message().split())
        return message[:1].lower() + message[1:].removesuffix("."), error.exit_code
    if isinstance(error, MemoryError):
        return "not enough memory", 1
    if found := _foreign(error):
        path, name = found
        return (f"{path}: must not have the name of Python's own module {name}, which it hides; rename it, or take its "
                f"folder out of PYTHONPATH ({type(error).__name__}: {error})"), 2
    place = error.__traceback__
    while place.tb_next:
        place = place.tb_next
    code = place.tb_frame.f_code
    return (f"internal error, please report it: {type(error).__name__}: {error} (in {code.co_name}, "
            f"{os.path.basename(code.co_filename)}:{place.tb_lineno}; {TRACEBACK}=1 shows more)"), INTERNAL


def _say(message):
    from ..golden.errors import one_line

    with suppress(OSError):  # the terminal is gone
        print(f"spikeloom: {one_line(message)}", file=sys.stderr, flush=True)


def protected(work):
    """Carry out `work`, and end the process: with its exit status, or with one line for whatever went wrong."""
    try:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, _stop)
        _open_streams()
        status = work() or 0
        sys.stdout.flush()
    except Stopped as stopped:
        _say(f"stopped by {stopped}; what was written is complete")
        status = 128 + stopped.number
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE  # whoever read has seen enough
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        message, status = _explain(error)
        if message:  # a command without arguments has shown its help
            _say(message)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it ends
    sys.exit(status)


def run():
    """Entry point of the command `spikeloom`."""
    def command():
        from .commands import app

        return app(standalone_mode=False)

    protected(command)
