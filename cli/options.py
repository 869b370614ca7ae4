"""Commands that say what is wrong with a value: the option, the rule and the value."""

import typer
from typer.core import TyperCommand

from ..golden.errors import InputError

__all__ = ["App", "check_unused"]


class _Command(TyperCommand):
    def parse_args(self, ctx, args):
        given, *_ = self.make_parser(ctx).parse_args(list(args))  # as they are written
        for param in self.get_params(ctx):
            if given.get(param.name) == "":  # a path would be the present folder, and a name its default
                raise InputError(f"{_name(param)} must not be empty")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            value = error.param and given.get(error.param.name)
            if value is None:  # missing
                raise
            rule = error.message[:1].lower() + error.message[1:]
            raise InputError(f"{_name(error.param)}: {rule}, not {value!r}") from None


def _name(param):
    return param.get_error_hint().split("'")[-2]  # of '-o' / '--output' the long one


class App(typer.Typer):
    """As Typer's, with such commands."""

    def command(self, *names, **options):
        return super().command(*names, cls=_Command, **options)


def check_unused(context, option, *names):
    """Refuse options that are given although they count for nothing without another one."""
    for name in names:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise InputError(f"--{name} must come with {option}, without which it counts for nothing")
