"""Configurations that come with Spikeloom, as commented TOML files."""

import errno
import os
from importlib import resources

from ...golden.checkpoint import load_checkpoint
from ...golden.config import Config, ConfigError, load

__all__ = ["DEFAULT", "find", "names", "text"]

DEFAULT = "digits"


def names():
    """Names of all presets."""
    return sorted(file.name[:-5] for file in resources.files(__name__).iterdir() if file.name.endswith(".toml"))


def text(name):
    """The TOML text of a preset."""
    return (resources.files(__name__) / f"{name}.toml").read_text()


def find(name_or_path) -> Config:
    """A preset by name, or the configuration of a file by path: of TOML, or of a checkpoint.

    Raises
    ------
    ConfigError
        If there is neither, or the configuration is wrong.
    CheckpointError
        If the checkpoint is.
    """
    if name_or_path in names():
        return load(resources.files(__name__) / f"{name_or_path}.toml")
    if str(name_or_path).endswith(".npz"):
        return load_checkpoint(name_or_path).config
    if not str(name_or_path).endswith(".toml"):
        raise ConfigError(f"configuration must be a .toml file, a checkpoint (.npz) or one of {', '.join(names())}, "
                          f"not {name_or_path!r}")
    try:
        return load(name_or_path)
    except ConfigError as error:
        if str(error) != f"{name_or_path}: {os.strerror(errno.ENOENT)}":
            raise
        raise ConfigError(f"{error}; spikeloom new {name_or_path} writes one, or take one of the presets "
                          f"{', '.join(names())}") from None
