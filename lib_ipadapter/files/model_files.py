"""The user's adapter and encoder files: found in folders, opened once, chosen by name."""

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from ..base.errors import IPAdapterError, LaterVersionError, UnitError, UnrecognisedError
from ..base.file_names import HASH, alike, refuse_changed, refuse_name, refuse_taken
from ..base.files import file_identity
from ..faces.portraits import portrait_folders
from ..port import Folders
from ..weights.adapter_file import AdapterFile, open_adapter
from ..weights.bases import ENCODERS, EVA, SIGLIP
from ..weights.clip_vision import EncoderFile, open_encoder
from ..weights.encoders import Encoder
from ..weights.eva import EvaFile, open_eva
from ..weights.loras import partner
from ..weights.siglip import SiglipFile, open_siglip
from .catalogue import Catalogue, read_catalogue
from .digests import Digests
from .known_files import FileCheck, KnownFiles
from .saved_embeds import EXTENSIONS as SAVED_EXTENSIONS
from .saved_embeds import SavedReference, open_saved
from .subjects import Subjects

log = logging.getLogger(__name__)

EXTENSIONS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
FACE_EXTENSIONS = (".onnx",)

AnyEncoder = EncoderFile | EvaFile | SiglipFile

KNOWN_ENCODERS = {*ENCODERS.values(), EVA, SIGLIP}
"""Encoders that an adapter needs by name; others are known by their width alone."""

Opened = TypeVar("Opened")


class FileIndex(Generic[Opened]):
    """The files of one kind below some folders; each is opened once, until it changes on disk."""

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]],
        open_file: Callable[[Path], Opened],
        extensions: tuple[str, ...] = EXTENSIONS,
    ) -> None:
        self._folders = folders
        self._open_file = open_file
        self._extensions = extensions
        self._paths: dict[Path, str] | None = None
        self._opened: dict[tuple[object, ...], Opened | IPAdapterError] = {}

    def rescan(self) -> None:
        """Forget the list of files, so that the next use finds added and removed files."""
        self._paths = None

    def paths(self) -> dict[Path, str]:
        """Return every candidate file with its path relative to its folder, with forward slashes."""
        paths = self._paths  # another thread may rescan meanwhile
        if paths is None:
            paths = self._paths = _walk(self._folders(), self._extensions)
        return paths

    def open(self, path: Path) -> Opened:
        """Return the opened file; for a damaged file, raises the same `IPAdapterError` until the file changes."""
        found = self._opened_or_error(path)
        if isinstance(found, IPAdapterError):
            raise type(found)(found.sentence)  # a new one: raising adds a traceback, and callers may set its unit
        return found

    def fault(self, path: Path) -> IPAdapterError | None:
        """Return why a file cannot be opened, or None."""
        found = self._opened_or_error(path)
        return found if isinstance(found, IPAdapterError) else None

    def all(self) -> tuple[dict[str, Opened], dict[str, str]]:
        """Return all files of this kind by name, and the error of each damaged one by name."""
        opened, damaged = dict[str, Opened](), dict[str, str]()
        for path, name in self.paths().items():
            found = self._opened_or_error(path)
            if not isinstance(found, IPAdapterError):
                opened[name] = found
            elif not isinstance(found, UnrecognisedError):
                damaged[name] = found.sentence
        return opened, damaged

    def choose(self, field: str, wanted: str) -> Path:
        """Return the one file called `wanted`; raises `UnitError` for none and for several."""
        found = _called(wanted, self.paths())
        if not found:
            self.rescan()  # it may have been added since the last scan
            found = _called(wanted, self.paths())
        paths = self.paths()
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(paths[path] for path in found)
            raise UnitError(
                field, wanted, f'"{wanted}" matches several files: {names}. Give the folder and the extension.'
            )
        raise UnitError(field, wanted, f'"{wanted}" was not found.{self._advice(wanted)}')

    def _opened_or_error(self, path: Path) -> Opened | IPAdapterError:
        try:
            key = file_identity(path)
        except IPAdapterError as error:
            return error
        if key not in self._opened:
            try:
                self._opened[key] = self._open_file(path)
            except IPAdapterError as error:
                self._opened[key] = error
        return self._opened[key]

    def _advice(self, wanted: str) -> str:
        names = {name.lower(): name for name in self.paths().values()}
        names |= {name.rsplit(".", 1)[0]: whole for name, whole in names.items()}  # the extension may be missing
        close = difflib.get_close_matches(_plain(wanted).lower(), names, n=3, cutoff=0.5)
        if close:
            return f" Did you mean {' or '.join(dict.fromkeys(names[name] for name in close))}?"
        return f" Put it into {next(iter(self._folders()), 'a model folder')} and press refresh."


class ModelFiles:
    """All adapter and encoder files, saved references and subjects of a user."""

    def __init__(self, folders: Callable[[], Folders], catalogue: Callable[[], Catalogue] = read_catalogue) -> None:
        self.folders = folders
        self.digests = Digests(lambda: folders().digests)
        self.known = KnownFiles(catalogue, self.digests)
        self.adapters = FileIndex(lambda: folders().adapters, partial(open_adapter, digest_of=self.digests.of))
        self.encoders = FileIndex(lambda: folders().encoders, _open_encoder)
        self.loras = FileIndex(lambda: folders().loras, lambda path: path)
        self.controlnets = FileIndex(lambda: folders().controlnets, lambda path: path)
        self.faces = FileIndex(lambda: folders().faces, lambda path: path, FACE_EXTENSIONS)
        self.facexlib = FileIndex(lambda: portrait_folders(folders().facexlib), lambda path: path)
        self.everything = FileIndex(lambda: folders().models, lambda path: path, (*EXTENSIONS, *FACE_EXTENSIONS))
        self.saved = FileIndex(lambda: folders().saved, open_saved, SAVED_EXTENSIONS)
        self.subjects = Subjects(lambda: folders().subjects)

    def rescan(self) -> None:
        shown = (self.adapters, self.encoders, self.saved)
        for index in (*shown, self.loras, self.controlnets, self.faces, self.facexlib, self.everything):
            index.rescan()

    def adapter(self, name: str) -> AdapterFile:
        """Return the adapter called `name`: a file name, with or without folder, extension and ` [hash]`.

        If only the file's hash shows its variant, this waits for the hash; `adapter_as_known` does not.
        """
        found = self.adapter_as_known(name)
        if found.recognised.variant_by == "default":
            found = found.known_as(self._variant(self.known.checked(found.path)))
        return found

    def adapter_as_known(self, name: str) -> AdapterFile:
        """Return the adapter called `name` as `adapter` does, but with the variant as far as is known now."""
        return self._as_known(self.adapters.open(self.adapters.choose("model", name)))

    def all_adapters(self) -> tuple[dict[str, AdapterFile], dict[str, str]]:
        """Return all adapters by name, with the variants known now, and the error of each damaged one."""
        opened, damaged = self.adapters.all()
        return {name: self._as_known(adapter) for name, adapter in opened.items()}, damaged

    def _as_known(self, adapter: AdapterFile) -> AdapterFile:
        if not adapter.recognised.family.variants:
            return adapter
        return adapter.known_as(self._variant(self.known.check(adapter.path)))

    @staticmethod
    def _variant(check: FileCheck) -> str:
        return check.published.variant if check.published else ""

    def check_encoder(self, name: str) -> None:
        """Raise `UnitError` for a name that is neither `auto` nor an encoder's."""
        if name != "auto":
            self.encoders.choose("encoder", name)

    def lora_of(self, adapter: AdapterFile) -> Path | None:
        """Return the LoRA file that belongs to an adapter, next to it or in the LoRA folders, or None."""
        name = f"{partner(adapter.path)}.safetensors"
        beside = [path for path in adapter.path.parent.iterdir() if path.name.lower() == name]
        among = (path for path in self.loras.paths() if path.name.lower() == name)
        return next(iter(beside), None) or next(among, None)

    def encoder_for(self, adapter: AdapterFile, name: str, size: int = 0) -> Encoder | None:
        """Return the encoder called `name`, or for `auto` one that fits; raises `IPAdapterError` where none does.

        It sees pictures of `size` pixels; 0 is the size that it was trained with. Returns None for an adapter that uses
        no image encoder.
        """
        if not adapter.recognised.width:
            if name != "auto":
                why = f"is not used by {adapter.path.name}, which takes only a face embedding. Choose auto."
                raise UnitError("encoder", name, why)
            if size:
                why = f"has no effect with {adapter.path.name}, which takes only a face embedding. Set 0."
                raise UnitError("encoder_size", size, why)
            return None
        if name != "auto":
            return _at_size(self._named_encoder(adapter, name), size)
        return _at_size(self.encoder_among(self.encoders.all()[0].values(), adapter), size)

    def encoder_among(self, encoders: Iterable[AnyEncoder], adapter: AdapterFile) -> AnyEncoder:
        """Return the one of these encoders that an adapter uses; raises `IPAdapterError` if none fits."""
        fitting = [encoder for encoder in encoders if _fits(encoder, adapter)]
        if not fitting:
            needed = adapter.recognised.image_encoder
            raise IPAdapterError(
                f"{adapter.path.name} needs the image encoder {needed}, but no file with it was found. Put one "
                f"(.safetensors, .bin or .pth) into {self.folders().encoders[0]} and press refresh."
            )
        return min(fitting, key=lambda encoder: encoder.image_size)

    def saved_reference(self, name: str) -> SavedReference:
        """Return the saved reference called `name`; the first digits of its hash may follow in brackets.

        Raises `UnitError` where there is none, or its hash does not start with the digits given.
        """
        found = self.saved.open(self.saved.choose("embeds", name))
        refuse_changed("embeds", name, found.name, found.digest)
        return found

    def fault_of(self, field: str, name: str) -> str:
        """Return what is wrong with a unit's `subject` or `embeds`, for example that it has changed, or ""."""
        looks = {"subject": lambda: self.subjects.find(field, name), "embeds": lambda: self.saved_reference(name)}
        try:
            looks[field]()
        except IPAdapterError as error:
            return error.sentence
        return ""

    def path_to_save(self, name: str, overwrite: bool) -> Path:
        """Return the path to save a reference as `name`.

        Raises `UnitError` for an invalid file name and, without `overwrite`, for a name that is taken.
        """
        refuse_name(name)
        folders = self.folders().saved
        if not folders:
            raise IPAdapterError("There is no folder for saved references.")
        self.saved.rescan()
        path = folders[0] / f"{name}.safetensors"
        like = [other for other in self.saved.paths() if alike(other.stem) == alike(name)]
        refuse_taken(name, [(other.name, other == path) for other in like], overwrite)
        fault = self.saved.fault(path) if path in like else None
        if isinstance(fault, LaterVersionError):
            raise UnitError("name", name, fault.sentence)
        if isinstance(fault, UnrecognisedError):
            why = f'"{path.name}" in {path.parent} is not a saved reference and is not replaced. Choose another name.'
            raise UnitError("name", name, why)
        return path

    def _named_encoder(self, adapter: AdapterFile, name: str) -> AnyEncoder:
        encoder = self.encoders.open(self.encoders.choose("encoder", name))
        if not _fits(encoder, adapter):
            needed, takes = adapter.recognised.width, adapter.recognised.family.takes
            raise UnitError(
                "encoder",
                name,
                f'"{name}" is {encoder.name}, whose features are {encoder.width_of(takes)} wide, but '
                f"{adapter.path.name} needs {adapter.recognised.image_encoder} with features {needed} wide. "
                "Choose that encoder, or auto.",
            )
        return encoder


def _open_encoder(path: Path) -> AnyEncoder:
    """Open an image encoder of any kind; raises `UnrecognisedError` for any other file."""
    for open_other in (open_eva, open_siglip):
        with suppress(UnrecognisedError):
            return open_other(path)
    return open_encoder(path)


def _at_size(encoder: AnyEncoder, size: int) -> AnyEncoder:
    """Return an encoder for input of `size` pixels, or as trained for 0; raises `UnitError` for an impossible size."""
    if not size:
        return encoder
    if not isinstance(encoder, EncoderFile):
        raise UnitError("encoder_size", size, f"is not possible with {encoder.path.name} ({encoder.name}). Set 0.")
    if size < 2 * encoder.patch or size % encoder.patch:
        below = max(2, size // encoder.patch) * encoder.patch
        why = (
            f"is not possible with {encoder.path.name}, which divides a picture into squares of {encoder.patch} "
            f"pixels. Set a multiple of {encoder.patch}, such as {below}, or 0."
        )
        raise UnitError("encoder_size", size, why)
    return encoder.at_size(size)


def _fits(encoder: AnyEncoder, adapter: AdapterFile) -> bool:
    """Return whether an encoder's features have the adapter's width and, for known encoders, come from the one that it
    was trained with: ViT-g's image embedding is as wide as ViT-H's, and EVA02-CLIP's hidden states as ViT-L's."""
    found = adapter.recognised
    wide, name = encoder.width_of(found.family.takes) == found.width, found.image_encoder
    return wide and (name not in KNOWN_ENCODERS or encoder.name.startswith(name))


def _walk(folders: Iterable[Path], extensions: tuple[str, ...]) -> dict[Path, str]:
    """Return files with these extensions below `folders`, with their relative paths.

    Links are followed, and no file is listed twice. If several folders have a file of the same name, the first folder
    wins.
    """
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for folder in folders:
        for root, below, names in os.walk(folder, followlinks=True):
            below[:] = [name for name in sorted(below) if _is_new(Path(root, name), seen)]
            for path in (Path(root, name) for name in sorted(names)):
                if path.suffix.lower() in extensions and _is_new(path, seen):
                    found.setdefault(path.relative_to(folder).as_posix(), path)
    return {path: name for name, path in found.items()}


def _is_new(path: Path, seen: set[str]) -> bool:
    real = os.path.realpath(path)  # Path.resolve raises on a link to itself, before Python 3.13
    if real in seen:
        return False
    seen.add(real)
    return True


def _called(wanted: str, paths: Mapping[Path, str]) -> list[Path]:
    """Return the files called `wanted`: by the exact name, else ignoring case, else by a part of the name."""
    whole = _plain(wanted)
    ways = (
        lambda name: name == whole,
        lambda name: name.lower() == whole.lower(),
        lambda name: whole.lower() in _spellings(name),
    )
    found = ([path for path, name in paths.items() if fits(name)] for fits in ways)
    return next(filter(None, found), [])


def _plain(name: str) -> str:
    """Return a name for comparison: with forward slashes, without a trailing ` [hash]`."""
    return HASH.sub("", name.strip()).replace("\\", "/")


def _spellings(name: str) -> set[str]:
    """Return the accepted names of a file: with and without its folder, with and without its extension."""
    whole = name.lower()
    base = whole.rsplit("/", 1)[-1]
    return {spelling for each in (whole, base) for spelling in (each, each.rsplit(".", 1)[0])}
