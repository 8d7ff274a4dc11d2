"""The adapter and encoder files that a user has: found in folders, opened once, chosen by name."""

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from ..base.errors import IPAdapterError, UnitError, UnrecognisedError
from ..base.file_names import HASH, alike, refuse_changed, refuse_name, refuse_taken
from ..base.files import file_identity
from ..port import Folders
from ..weights.adapter_file import AdapterFile, open_adapter
from ..weights.bases import ENCODERS
from ..weights.clip_vision import EncoderFile, open_encoder
from ..weights.loras import partner
from .saved_embeds import EXTENSIONS as SAVED_EXTENSIONS
from .saved_embeds import SavedReference, open_saved
from .subjects import Subjects

log = logging.getLogger(__name__)

EXTENSIONS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")

Opened = TypeVar("Opened")


class FileIndex(Generic[Opened]):
    """The files of one sort below some folders; each is opened once, until it changes on the disk."""

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
        """Forget which files there are, so that files added or removed since are noticed."""
        self._paths = None

    def paths(self) -> dict[Path, str]:
        """Return every candidate file and its name below its folder, with forward slashes."""
        paths = self._paths  # another thread may rescan meanwhile
        if paths is None:
            paths = self._paths = _walk(self._folders(), self._extensions)
        return paths

    def open(self, path: Path) -> Opened:
        """Return the opened file; raises the same `IPAdapterError` as often as asked, until the file changes."""
        found = self._opened_or_error(path)
        if isinstance(found, IPAdapterError):
            raise type(found)(found.sentence)  # a new one: an error grows by each raise, and may be given a unit
        return found

    def fault(self, path: Path) -> IPAdapterError | None:
        """Return why a file cannot be opened, or None."""
        found = self._opened_or_error(path)
        return found if isinstance(found, IPAdapterError) else None

    def all(self) -> tuple[dict[str, Opened], dict[str, str]]:
        """Return all files of this sort by name, and the damaged ones by name with their fault."""
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
            self.rescan()  # it may have been added since
            found = _called(wanted, self.paths())
        paths = self.paths()
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(paths[path] for path in found)
            raise UnitError(
                field, wanted, f'"{wanted}" fits several files: {names}. Give the folder and the extension.'
            )
        raise UnitError(field, wanted, f'"{wanted}" is no file that was found.{self._advice(wanted)}')

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
    """All adapter and encoder files of a web UI, its saved references and its subjects."""

    def __init__(self, folders: Callable[[], Folders]) -> None:
        self._folders = folders
        self.adapters = FileIndex(lambda: folders().adapters, open_adapter)
        self.encoders = FileIndex(lambda: folders().encoders, open_encoder)
        self.loras = FileIndex(lambda: folders().loras, lambda path: path)
        self.saved = FileIndex(lambda: folders().saved, open_saved, SAVED_EXTENSIONS)
        self.subjects = Subjects(lambda: folders().subjects)

    def rescan(self) -> None:
        for index in (self.adapters, self.encoders, self.loras, self.saved):
            index.rescan()

    def adapter(self, name: str) -> AdapterFile:
        """Return the adapter called `name`: a file name, with or without folder, extension and ` [hash]`."""
        return self.adapters.open(self.adapters.choose("model", name))

    def check_encoder(self, name: str) -> None:
        """Raise `UnitError` for a name that is neither `auto` nor an encoder's."""
        if name != "auto":
            self.encoders.choose("encoder", name)

    def lora_of(self, adapter: AdapterFile) -> Path | None:
        """Return the file of the LoRA that was published with an adapter: beside it, or among the LoRAs; or None."""
        name = f"{partner(adapter.path)}.safetensors"
        beside = [path for path in adapter.path.parent.iterdir() if path.name.lower() == name]
        among = (path for path in self.loras.paths() if path.name.lower() == name)
        return next(iter(beside), None) or next(among, None)

    def encoder_for(self, adapter: AdapterFile, name: str) -> EncoderFile | None:
        """Return the encoder called `name`, or with `auto` one that fits; raises `IPAdapterError` where none does.

        None where the adapter takes nothing from an image encoder.
        """
        if not adapter.recognised.width:
            if name != "auto":
                why = f"is not used by {adapter.path.name}, which takes nothing but a face's vector. Choose auto."
                raise UnitError("encoder", name, why)
            return None
        if name != "auto":
            return self._named_encoder(adapter, name)
        fitting = [encoder for encoder in self.encoders.all()[0].values() if _fits(encoder, adapter)]
        if not fitting:
            needed = adapter.recognised.image_encoder
            raise IPAdapterError(
                f"{adapter.path.name} needs the image encoder {needed}, and no file with it was found. Put one "
                f"(.safetensors, .bin or .pth) into {self._folders().encoders[0]} and press refresh."
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
        """Return what is wrong with what a unit's `subject` or `embeds` names, such as that it changed; or nothing."""
        looks = {"subject": lambda: self.subjects.find(field, name), "embeds": lambda: self.saved_reference(name)}
        try:
            looks[field]()
        except IPAdapterError as error:
            return error.sentence
        return ""

    def path_to_save(self, name: str, overwrite: bool) -> Path:
        """Return where a reference is saved as `name`.

        Raises `UnitError` for a name that no file can have and, unless it may be overwritten, for one that is taken.
        """
        refuse_name(name)
        folders = self._folders().saved
        if not folders:
            raise IPAdapterError("There is no folder for saved references.")
        self.saved.rescan()
        path = folders[0] / f"{name}.safetensors"
        like = [other for other in self.saved.paths() if alike(other.stem) == alike(name)]
        refuse_taken(name, [(other.name, other == path) for other in like], overwrite)
        if path in like and isinstance(self.saved.fault(path), UnrecognisedError):
            why = f'"{path.name}" in {path.parent} is not a saved reference and is not replaced. Choose another name.'
            raise UnitError("name", name, why)
        return path

    def _named_encoder(self, adapter: AdapterFile, name: str) -> EncoderFile:
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


def _fits(encoder: EncoderFile, adapter: AdapterFile) -> bool:
    """Return whether the features are as wide as the adapter takes them and, where towers of that width have a name,
    come from the one it was trained with: ViT-g has an image embedding as wide as ViT-H's."""
    found = adapter.recognised
    wide, name = encoder.width_of(found.family.takes) == found.width, found.image_encoder
    return wide and (name not in ENCODERS.values() or encoder.name.startswith(name))


def _walk(folders: Iterable[Path], extensions: tuple[str, ...]) -> dict[Path, str]:
    """Return files with these extensions below `folders` and their names there.

    Links are followed, and nothing is listed twice.
    Of files with one name below several folders, that of the first folder counts.
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
    """Return the files called `wanted`: by the whole name, else by it in any case, else by a part of it."""
    whole = _plain(wanted)
    ways = (
        lambda name: name == whole,
        lambda name: name.lower() == whole.lower(),
        lambda name: whole.lower() in _spellings(name),
    )
    found = ([path for path, name in paths.items() if fits(name)] for fits in ways)
    return next(filter(None, found), [])


def _plain(name: str) -> str:
    """Return a name as it is compared: forward slashes, no ` [hash]` at its end."""
    return HASH.sub("", name.strip()).replace("\\", "/")


def _spellings(name: str) -> set[str]:
    """Return the ways to call a file: with and without its folder, with and without its extension."""
    whole = name.lower()
    base = whole.rsplit("/", 1)[-1]
    return {spelling for each in (whole, base) for spelling in (each, each.rsplit(".", 1)[0])}
