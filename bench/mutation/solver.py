"""A solver in a process of its own: definitions are told once, questions come and go."""

import re
import select
import subprocess
import time
from contextlib import contextmanager

from spikeloom.gen import process
from spikeloom.golden.errors import SpikeloomError

__all__ = ["Solver"]

#: What says that the solver has answered.
END = "answered"


class Solver:
    """Yices on quantifier-free bit vectors.

    Parameters
    ----------
    lines : iterable of str
        Definitions.
    patience : float
        Seconds for one question.

    Raises
    ------
    SpikeloomError
        From every method, if the solver is missing or does not take what it is told.
    """

    def __init__(self, lines, patience):
        self._told = ["(set-option :produce-models true)", "(set-logic QF_BV)", *lines]
        self._patience, self._tool = patience, None

    def __enter__(self):
        try:
            self._tool = process.Tool(["yices-smt2", "--incremental"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=process.environment())
        except OSError as error:
            raise SpikeloomError(f"yices-smt2 cannot be started: {error.strerror}") from None
        self._send(self._told)
        return self

    def __exit__(self, *_):
        self._tool.stop()

    def tell(self, lines):
        """Definitions and assertions that hold for all questions to come."""
        self._told += lines
        self._send(lines)

    @contextmanager
    def scope(self, lines):
        """Definitions and assertions that hold for the questions of a ``with`` block."""
        told = self._told
        self._told = [*told, "(push 1)", *lines]
        self._send(["(push 1)", *lines])
        yield
        self._told = told
        self._send(["(pop 1)"])

    def ask(self, lines, wanted):
        """Whether there is a state for which `lines` hold.

        Returns
        -------
        verdict : bool or None
            None if nothing is known in time.
        values : dict of str to str
            Of what is `wanted`, in such a state: bits, the highest first; a flag is one of them.
        """
        self._send(["(push 1)", *lines, "(check-sat)"])
        verdict = self._answer()
        if verdict is None:
            self.__exit__()
            self.__enter__()
            return None, {}
        values = {}
        if verdict == "sat":
            self._send([f"(get-value ({' '.join(wanted)}))"])
            pairs = re.findall(r"\((\|[^|]*\||\w+) (#b[01]+|true|false)\)", self._answer())
            values = {name: {"true": "1", "false": "0"}.get(value, value.removeprefix("#b")) for name, value in pairs}
        elif verdict not in ("sat", "unsat"):
            raise SpikeloomError(f"yices-smt2 failed: {process.last_words(verdict)}")
        self._send(["(pop 1)"])
        return verdict == "sat", values

    def _send(self, lines):
        try:
            self._tool.process.stdin.write(("\n".join(lines) + "\n").encode())
            self._tool.process.stdin.flush()
        except OSError:
            raise SpikeloomError("yices-smt2 ended before its time") from None

    def _answer(self):
        """What it prints for what it was sent; None if that takes too long."""
        self._send([f'(echo "{END}\n")'])
        found, end, handle = b"", time.monotonic() + self._patience, self._tool.process.stdout
        while not found.rstrip().endswith(END.encode()):
            if not select.select([handle], [], [], max(0, end - time.monotonic()))[0]:
                return None
            part = handle.read1()
            if not part:
                raise SpikeloomError(f"yices-smt2 ended before its time: {process.last_words(found.decode())}")
            found += part
        return found.decode().rstrip().removesuffix(END).strip()
