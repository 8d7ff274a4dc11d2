"""What the routes answer, as the web UI's own description of its API shows it; read by either major of pydantic."""

from pydantic import BaseModel, Field


class Version(BaseModel):
    version: str = Field(description="Of the extension.")


class Counts(BaseModel):
    models: int = Field(description="Adapter files that were found.")
    encoders: int = Field(description="Image encoder files that were found.")


class Adapter(BaseModel):
    """An adapter file; of a damaged one only name and reason."""

    name: str = Field(description="As a unit's model names it.")
    reason: str = Field(description="Why it cannot run on the loaded checkpoint; empty where it can.")
    short: str = Field(description="The reason in a word or two.")
    family: str | None = Field(None, description="Kind of adapter.")
    base: str | None = Field(None, description="Kind of checkpoint that it is for.")
    encoder: str | None = Field(None, description="Image encoder that it needs.")
    tokens: int | None = Field(None, description="Image tokens a reference.")
    context_dim: int | None = Field(None, description="Width of the text that the checkpoint's U-Net sees.")
    layers: int | None = Field(None, description="Cross-attentions that it acts on.")
    parameters: int | None = Field(None, description="Numbers in the file.")
    lora: bool | None = Field(None, description="Whether the file holds a LoRA, too.")
    variant: str | None = Field(None, description="Which of several kinds of files that look alike it is, if any.")
    variant_by: str | None = Field(None, description="What tells the variant: hash, name, or default.")
    unit_fields: list[str] | None = Field(
        None, alias="fields", description="Fields of a unit that have a meaning for few families, this among them."
    )  # fields itself is a name of pydantic 1's
    title: str | None = Field(None, description="Kind of adapter in words.")
    missing: bool | None = Field(None, description="Whether something that it needs was not found, which note names.")
    note: str | None = Field(None, description="Which encoder file it will use, or what to do where there is none.")


class Encoder(BaseModel):
    """An image encoder file; of a damaged one only name and reason."""

    name: str = Field(description="As a unit's encoder names it.")
    reason: str = Field(description="Why it cannot be used; empty where it can.")
    architecture: str | None = Field(None, description="Such as ViT-H/14.")
    image_size: int | None = Field(None, description="Pixels of the square that it sees.")
    width: int | None = Field(None, description="Width of its hidden states.")
    projection: int | None = Field(None, description="Width of its embedding.")


class Saved(BaseModel):
    """A saved reference; of a damaged one only name and reason."""

    name: str = Field(description="As a unit's embeds names it.")
    reason: str = Field(description="Why it cannot be used; empty where it can.")
    references: int | None = Field(None, description="Pictures that were saved.")
    tiles: bool | None = Field(None, description="Whether they were encoded in tiles.")
    holds: list[str] | None = Field(None, description="Kinds of features in the file.")
    encoder: str | None = Field(None, description="Image encoder file that made it; empty where it is not known.")
    sha256: str | None = Field(None, description="Of the file, in hexadecimal.")


class Keypoints(BaseModel):
    """The picture of a face's points."""

    image: str = Field(description="The picture, as a data URL.")
    faces: int = Field(description="Faces that were found in the photo.")
