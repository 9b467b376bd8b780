"""A stand-in for a GPU that TensorFlow does not see: torch device `far`, whose memory NumPy and DLPack cannot read.

`import far_device` registers it for the rest of the process, so tests do that in a process of their own. It knows how
to copy from and to the host, and nothing else.
"""

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend


class Far(torch.Tensor):
    """A tensor of device `far`; `held` is what its memory holds."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Far":
        made = torch._C._acc.create_empty_tensor(tuple(held.shape), held.dtype)
        made.__class__ = Far
        made.held = held
        return made


def _empty(size, *_, dtype=None, **__):
    return Far(torch.empty(tuple(size), dtype=dtype))


def _copied(source, target, _=False):
    (target.held if target.device.type == "far" else target).copy_(
        source.held if source.device.type == "far" else source
    )
    return target


_setup_privateuseone_for_python_backend("far")
for _name, _operation in {
    "empty.memory_format": _empty,
    "empty_strided": _empty,
    "_copy_from": _copied,
    "detach": lambda tensor: Far(tensor.held),
}.items():
    torch.library.impl(f"aten::{_name}", "privateuseone")(_operation)
