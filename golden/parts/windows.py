"""The rule of all layers with windows: none of their inputs may be without a reader."""

from ..section import reject

__all__ = ["check_windows"]


def check_windows(shape, name, kernel, stride, padding, path):
    """Refuse windows that leave no output of inputs of `shape`, or that never see some of them.

    `name` is the field of the window's size, `path` that of the layer.
    """
    for length in shape[:2]:
        if kernel > length + 2 * padding:
            reject(f"{path}.{name}", f"must be at most the {length} inputs"
                   + (f" and {2 * padding} of padding" if padding else "") + " in height and width, or "
                   "nothing is left of the layer", kernel)
        end = (length + 2 * padding - kernel) // stride * stride - padding + kernel
        if end < length:
            reject(f"{path}.stride", f"must reach all {length} inputs: with {name} {kernel} and padding "
                   f"{padding} the last {length - end} would be cut off", stride)
