from typing import Any

class CheckpointInfo:
    filename: str
    """Its path."""

class SdModelData:
    sd_model: Any
    """The loaded checkpoint: of ldm or sgm in AUTOMATIC1111's web UI, of Forge's own class in its family."""

model_data: SdModelData
checkpoint_aliases: dict[str, CheckpointInfo]
"""Checkpoints by their name, title and hash."""
