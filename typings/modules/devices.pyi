import torch

cpu: torch.device
dtype: torch.dtype

def get_optimal_device() -> torch.device: ...
def torch_gc() -> None: ...
