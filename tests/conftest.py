"""What has to be so before any test module is imported."""

import importlib.util
from typing import Any


def declare_operators_that_torchvision_expects() -> Any:
    """Let torchvision be imported, as open_clip does, where its compiled part cannot be loaded.

    A CPU torch beside a torchvision whose compiled part needs CUDA, as PyPI's does: torchvision goes on without that
    part, but then describes two of its operators to torch, which must have been declared. None of them is ever called.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


if importlib.util.find_spec("torch"):  # the field table's tests run without it, too
    import torch

    DECLARED = declare_operators_that_torchvision_expects()
    """Kept, for a library's operators go when it does."""

    torch.set_num_threads(1)  # for tensors as small as those here, threads cost more than they bring
