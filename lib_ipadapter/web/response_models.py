"""Response models of the routes, for the web UI's API documentation; works with pydantic 1 and 2.

Only `routes` imports this module, because pydantic takes milliseconds to build the models.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

DIGEST = "SHA-256 of the file, in hexadecimal; null until it has been computed, which takes seconds for a large file."
PUBLISHED = "Name of the published file that it is, whatever it is called here; null for other files and until known."


class Version(BaseModel):
    version: str = Field(description="Version of the extension.")


class Counts(BaseModel):
    models: int = Field(description="Adapter files that were found.")
    encoders: int = Field(description="Image encoder files that were found.")


class Adapter(BaseModel):
    """An adapter file; a damaged one has only name and reason."""

    name: str = Field(description="Name to use as a unit's model.")
    reason: str = Field(description="Why it cannot run on the loaded checkpoint; empty if it can.")
    short: str = Field(description="The reason in a few words.")
    family: str | None = Field(None, description="Kind of adapter.")
    base: str | None = Field(None, description="Kind of checkpoint that it is for.")
    encoder: str | None = Field(None, description="Image encoder that it needs.")
    tokens: int | None = Field(None, description="Image tokens per reference.")
    context_dim: int | None = Field(None, description="Width of the text context of its U-Net.")
    layers: int | None = Field(None, description="Number of cross-attention layers.")
    parameters: int | None = Field(None, description="Number of parameters in the file.")
    lora: bool | None = Field(None, description="Whether the file also contains a LoRA.")
    variant: str | None = Field(None, description="Which variant it is, for files with identical tensors.")
    variant_by: str | None = Field(None, description="How the variant was determined: hash, name, or default.")
    controlnet: bool | None = Field(None, description="Whether it comes with a ControlNet for key points.")
    unit_fields: list[str] | None = Field(
        None, alias="fields", description="Fields of a unit that this family uses and some others do not."
    )  # pydantic 1 uses the name fields itself
    sha256: str | None = Field(None, description=DIGEST)
    published: str | None = Field(None, description=PUBLISHED)
    uses: list[str] | None = Field(
        None, description="What it was trained for: general, face, composition, style or likeness."
    )
    title: str | None = Field(None, description="Kind of adapter, in plain words.")
    missing: bool | None = Field(None, description="Whether a file that it needs was not found; note names it.")
    note: str | None = Field(None, description="Which encoder file it will use, or what to do if there is none.")


class Encoder(BaseModel):
    """An image encoder file; a damaged one has only name and reason."""

    name: str = Field(description="Name to use as a unit's encoder.")
    reason: str = Field(description="Why it cannot be used; empty if it can.")
    architecture: str | None = Field(None, description="Such as ViT-H/14.")
    image_size: int | None = Field(None, description="Side of its square input in pixels.")
    width: int | None = Field(None, description="Width of its hidden states.")
    projection: int | None = Field(None, description="Width of its embedding.")
    sha256: str | None = Field(None, description=DIGEST)
    published: str | None = Field(None, description=PUBLISHED)


class Deleted(BaseModel):
    name: str = Field(description="Name of the subject.")
    kept: list[str] | None = Field(
        None, description="Files in its folder that do not belong to it and were kept, if any."
    )


class Zip(BaseModel):
    name: str = Field(description="Name of the subject.")
    content: str = Field(alias="zip", description="The zip, in base64.")  # zip is a Python builtin


class SubjectPicture(BaseModel):
    image: str = Field(description="A data URL: a thumbnail in lists, the whole file when one subject is read.")
    weight: float = Field(description="Its weight among the others.")
    crop: str | None = Field(None, description="Its own crop, used instead of the unit's.")
    box: list[float] | None = Field(None, description="The part that is used, as fractions: left, upper, right, lower.")
    note: str = Field(description="The user's note.")


class Subject(BaseModel):
    """A named set of references; for a damaged one only name and reason are set."""

    name: str = Field(description="Name to use as a unit's subject.")
    pictures: list[SubjectPicture] = Field(description="Its pictures, in order.")
    notes: str = Field(description="The user's note.")
    sha256: str = Field(description="SHA-256 of its pictures with their settings, in hexadecimal.")
    reason: str = Field(description="Why it cannot be used; empty if it can.")


class Folder(BaseModel):
    """A folder of pictures that is not a subject yet; saving a subject under its name with `adopt` converts it."""

    name: str = Field(description="Name of the folder.")
    pictures: int = Field(description="Number of picture files in it.")


class Subjects(BaseModel):
    subjects: list[Subject] = Field(description="Sorted by name, damaged ones last.")
    adoptable: list[Folder] = Field(description="Folders of pictures that are not subjects yet, sorted by name.")


class Saved(BaseModel):
    """A saved reference; a damaged one has only name and reason."""

    name: str = Field(description="Name to use as a unit's embeds.")
    reason: str = Field(description="Why it cannot be used; empty if it can.")
    references: int | None = Field(None, description="Number of pictures in it.")
    tiles: bool | None = Field(None, description="Whether they were encoded in tiles.")
    holds: list[str] | None = Field(None, description="Kinds of features in the file.")
    encoder: str | None = Field(None, description="Image encoder file that made it; empty if unknown.")
    sha256: str | None = Field(None, description="SHA-256 of the file, in hexadecimal.")


class Face(BaseModel):
    """A face in a picture; all angles are 0 for a face that looks straight into the camera."""

    number: int = Field(description="Index to use as a unit's face: by size, from 0.")
    box: list[float] = Field(description="Left, upper, right and lower edge in pixels.")
    points: list[list[float]] = Field(description="Eyes, nose, corners of the mouth: x and y in pixels.")
    score: float = Field(description="Detection score, up to 1.")
    width: float = Field(description="Width in pixels.")
    turn: float = Field(description="Degrees to the picture's right.")
    nod: float = Field(description="Degrees downwards.")
    tilt: float = Field(description="Degrees clockwise.")
    crop: str = Field(description="What goes into the model, as a data URL.")


class Faces(BaseModel):
    width: int = Field(description="Pixels of the picture.")
    height: int = Field(description="Pixels of the picture.")
    faces: list[Face] = Field(description="The largest first.")
    advice: list[str] = Field(description="Suggestions, in sentences.")


class Reference(BaseModel):
    """What is known about one picture; unknown values are left out."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    advice: list[str] = Field(description="Suggestions, in sentences.")
    seen: list[str] = Field(description="What the models will see, as data URLs: aligned faces, then squares.")
    sharpness: float = Field(description="Sharpness at the size that the models see, 0 to 1.")
    contrast: float = Field(description="Root mean square, 0 to 0.5.")
    faces: int | None = Field(None, description="Number of faces found, for adapters that use faces.")
    face_width: float | None = Field(None, description="Width in pixels of the face that is used.")
    turn: float | None = Field(None, description="Degrees to the picture's right.")
    nod: float | None = Field(None, description="Degrees downwards.")
    compression: float | None = Field(None, description="JPEG quality, if its blocks are still visible at that size.")
    shading: float | None = Field(None, description="Share of the picture that is shaded gently; low for drawings.")
    blockiness: float | None = Field(
        None, description="How visible compression blocks are in other files; 1 is not at all."
    )
    lost: float | None = Field(None, description="Fraction of the picture that the crop leaves out.")


class Checked(BaseModel):
    references: list[Reference] = Field(description="One for each picture of the unit.")
    agreement: list[list[float]] | None = Field(
        None,
        description="Cosines between the pictures' faces, as the face model sees them (not identity verification).",
    )
    advice: list[str] = Field(description="What is missing, and references that do not match the others.")


class Keypoints(BaseModel):
    """The picture of a face's points."""

    image: str = Field(description="The picture, as a data URL.")
    faces: int = Field(description="Number of faces found in the photo.")


class Finding(BaseModel):
    sentence: str = Field(description="What is wrong and what to do, as in the error that stops a generation.")
    stops: bool = Field(description="Whether the unit cannot run; otherwise only its result will be poor.")
    field: str = Field(description="The unit's field that it is about; empty if it is about none in particular.")
    repair: dict[str, Any] | None = Field(
        None,
        description="What repairs it: do (set, get, choose adapter, install faces, join inner) and what that needs.",
    )


class UnitReadiness(BaseModel):
    unit: int = Field(description="Number of the unit, from 1.")
    state: str = Field(description="ready, poor, stops or off.")
    findings: list[Finding] = Field(description="What is wrong with it, most important first.")
    pictures: int = Field(description="Number of pictures that it was given.")
    encodes: int = Field(description="Number of pictures that are not encoded yet; 0 if it cannot run.")
    slow: str = Field(description="Why encoding is slower than it could be; empty if it is not, or nothing is encoded.")
    unseen: list[int] = Field(
        description="Indices of the images that the check would look at, but for which only stand-ins are known."
    )


class Readiness(BaseModel):
    units: list[UnitReadiness]


class Changed(BaseModel):
    settings: dict[str, str] = Field(description="The web UI's settings that were changed, by key.")


class Allowed(BaseModel):
    allowed: bool
    reason: str = Field(description="Why models cannot be downloaded here; empty if they can.")


class Bundle(BaseModel):
    """Files for one purpose on one base model."""

    name: str
    base: str
    help: str
    files: list[str] = Field(description="Names of its files, including everything that they need.")


class Published(BaseModel):
    """A published file."""

    name: str = Field(description="Its file name, which requests use.")
    title: str = Field(description="Its display name.")
    help: str = Field(description="What it is for.")
    page: str = Field(description="Address of the page where its authors describe it.")
    bytes: int
    licence: str
    commercial: bool = Field(description="Whether the licence clearly allows commercial use.")
    family: str = Field(description="Family of an adapter; empty for other files.")
    variant: str = Field(description="Variant of the family; empty if it has none.")
    base: str = Field(description="Base model that it is for; empty for any.")
    use: str = Field(description="What an adapter was trained for: general, face, composition, style or likeness.")
    encoder: str = Field(description="Architecture of an image encoder; empty for other files.")
    needs: list[str] = Field(description="Names of the files that it needs.")
    instead_of: str = Field(description="Name of a file that it can replace, or empty.")
    folder: str = Field(description="Folder that it is saved in.")
    state: str = Field(
        description="missing, elsewhere (in a folder where it cannot be used), there, "
        "unchecked (not hashed yet) or different (not the published file)."
    )
    there_as: str = Field(description="Path where it was found, or empty.")
    sentence: str = Field(description="How the file there differs from the published one; empty if it does not.")
    part: int = Field(description="Bytes of an unfinished download of it; 0 if there is none.")


class Catalogue(BaseModel):
    downloads: Allowed
    bundles: list[Bundle]
    files: list[Published]
    free: dict[str, int] = Field(description="Free disk space in bytes, by folder.")


class Download(BaseModel):
    name: str = Field(description="Name of the file.")
    title: str = Field(description="Its display name.")
    state: str = Field(description="waiting, running, checking, done, stopped or failed.")
    done: int = Field(description="Bytes downloaded so far.")
    bytes: int
    speed: int = Field(description="Bytes per second; 0 while nothing is being downloaded.")
    seconds_left: int | None = Field(None, description="Null while nothing is being downloaded.")
    error: str = Field(description="Why it failed, and what to do; empty if it did not.")


class Downloads(BaseModel):
    files: list[Download] = Field(description="In the order in which they were requested.")


MODELS: Mapping[str, Any] = {
    "GET version": Version,
    "GET schema": dict[str, Any],
    "GET models": list[Adapter],
    "GET encoders": list[Encoder],
    "GET embeds": list[Saved],
    "POST rescan": Counts,
    "POST embeds": Saved,
    "GET subjects": Subjects,
    "POST subjects/read": Subject,
    "POST subjects": Subject,
    "POST subjects/delete": Deleted,
    "POST subjects/export": Zip,
    "POST subjects/import": Subject,
    "POST faces": Faces,
    "POST check": Checked,
    "POST ready": Readiness,
    "POST inner": Changed,
    "POST keypoints": Keypoints,
    "GET catalogue": Catalogue,
    "GET downloads": Downloads,
    "POST downloads": Downloads,
    "POST downloads/stop": Downloads,
    "POST verify": Catalogue,
}
"""The response of each route, by method and path as in the table of requests."""
