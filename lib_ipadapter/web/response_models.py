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
    controlnet: bool | None = Field(None, description="Whether it comes with a ControlNet that sees key points.")
    unit_fields: list[str] | None = Field(
        None, alias="fields", description="Fields of a unit that have a meaning for few families, this among them."
    )  # fields itself is a name of pydantic 1's
    uses: list[str] | None = Field(
        None, description="What it was trained for: general, face, composition, style or likeness."
    )
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


class Deleted(BaseModel):
    name: str = Field(description="Of the subject.")
    kept: list[str] | None = Field(None, description="Files in its folder that are not its own and stay, if any.")


class Zip(BaseModel):
    name: str = Field(description="Of the subject.")
    content: str = Field(alias="zip", description="The zip, in base64.")  # zip itself is a name of Python's


class SubjectPicture(BaseModel):
    image: str = Field(description="A data URL: in lists a thumbnail, where one subject is read the whole file.")
    weight: float = Field(description="Its weight among the others.")
    crop: str | None = Field(None, description="How it becomes square, where it is not as the unit says.")
    note: str = Field(description="What was noted on it.")


class Subject(BaseModel):
    """A named set of references; of a damaged one only name and reason tell anything."""

    name: str = Field(description="As a unit's subject names it.")
    pictures: list[SubjectPicture] = Field(description="In order.")
    notes: str = Field(description="What was noted on it.")
    sha256: str = Field(description="Of its pictures with their weights and crops, in hexadecimal.")
    reason: str = Field(description="Why it cannot be used; empty where it can.")


class Subjects(BaseModel):
    subjects: list[Subject] = Field(description="By name, damaged ones last.")


class Saved(BaseModel):
    """A saved reference; of a damaged one only name and reason."""

    name: str = Field(description="As a unit's embeds names it.")
    reason: str = Field(description="Why it cannot be used; empty where it can.")
    references: int | None = Field(None, description="Pictures that were saved.")
    tiles: bool | None = Field(None, description="Whether they were encoded in tiles.")
    holds: list[str] | None = Field(None, description="Kinds of features in the file.")
    encoder: str | None = Field(None, description="Image encoder file that made it; empty where it is not known.")
    sha256: str | None = Field(None, description="Of the file, in hexadecimal.")


class Face(BaseModel):
    """A face in a picture; of the angles, 0 looks straight into the camera."""

    number: int = Field(description="As a unit's face means it: in order of size, from 0.")
    box: list[float] = Field(description="Left, upper, right and lower edge in pixels.")
    points: list[list[float]] = Field(description="Eyes, nose, corners of the mouth: x and y in pixels.")
    score: float = Field(description="How sure the detector is, up to 1.")
    width: float = Field(description="Pixels.")
    turn: float = Field(description="Degrees to the picture's right.")
    nod: float = Field(description="Degrees downwards.")
    tilt: float = Field(description="Degrees clockwise.")
    crop: str = Field(description="What goes into the model, as a data URL.")


class Faces(BaseModel):
    width: int = Field(description="Pixels of the picture.")
    height: int = Field(description="Pixels of the picture.")
    faces: list[Face] = Field(description="The largest first.")
    advice: list[str] = Field(description="What could be better, in sentences.")


class Reference(BaseModel):
    """What is known of one picture; what is not is left out."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    advice: list[str] = Field(description="What could be better, in sentences.")
    seen: list[str] = Field(description="What the models will see of it, as data URLs: aligned faces, then squares.")
    sharpness: float = Field(description="At the size that is seen, 0 to 1.")
    contrast: float = Field(description="Root mean square, 0 to 0.5.")
    faces: int | None = Field(None, description="Faces that were found, where the adapter looks for any.")
    face_width: float | None = Field(None, description="Pixels of the face that counts.")
    turn: float | None = Field(None, description="Degrees to the picture's right.")
    nod: float | None = Field(None, description="Degrees downwards.")
    compression: float | None = Field(None, description="Quality of a JPEG, where its blocks are still seen.")
    blockiness: float | None = Field(
        None, description="How far such blocks stand out of another file; 1 is not at all."
    )
    lost: float | None = Field(None, description="Part of the picture that the crop leaves out.")


class Checked(BaseModel):
    references: list[Reference] = Field(description="One for each picture of the unit.")
    agreement: list[list[float]] | None = Field(
        None, description="How alike the pictures' faces are to the face model: cosines. No identity verification."
    )
    advice: list[str] = Field(description="What is missing, and references that are unlike the others.")


class Keypoints(BaseModel):
    """The picture of a face's points."""

    image: str = Field(description="The picture, as a data URL.")
    faces: int = Field(description="Faces that were found in the photo.")
