from typing import Any

class CheckpointInfo:
    filename: str
    """Its path."""
    metadata: dict[str, Any]
    """Of the file's header; empty if it has none."""

class SdModelData:
    sd_model: Any
    """The loaded checkpoint: of ldm or sgm in AUTOMATIC1111's web UI, of Forge's own class in its family."""

model_data: SdModelData
checkpoint_aliases: dict[str, CheckpointInfo]
"""Checkpoints by their name, title and hash."""
