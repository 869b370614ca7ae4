"""Configuration -> Verilog and JSON sidecar."""

import os

from ..golden.config import Config

__all__ = ["generate_text"]


def generate_text(config: Config) -> str:
    """The Verilog of a core; the same bytes for the same configuration and versions."""
    # The Yosys that Amaranth ships: text depends on its version, so the machine's own must not be found first.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from amaranth.back import verilog  # noqa: PLC0415 -- reads the environment

    from ..rtl.core import Core  # noqa: PLC0415

    return verilog.convert(Core(config), name=config.name, emit_src=False)
