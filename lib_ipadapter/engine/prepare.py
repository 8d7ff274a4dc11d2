"""Prepares a unit: from the user's settings to the image keys and values of every site, with caches."""

import logging
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..base.cache import Cache
from ..base.errors import UnitError
from ..base.files import file_identity
from ..faces.face_finder import FaceFinder, choose, faces_inside, required_inside
from ..faces.insightface_models import PACKS, Face
from ..files.blank_features import BlankFeatures
from ..files.model_files import ModelFiles
from ..files.saved_embeds import SavedPicture, SavedReference, write_saved
from ..files.subject_record import Subject
from ..networks.layout import Layout
from ..pictures.image_cache import ImageCache
from ..pictures.image_file import ImageFile
from ..port import Host
from ..unit.combine import MERGED, TOKENS_MERGED, merge
from ..unit.contradictions import refuse_contradictions
from ..unit.picture_fields import Picture
from ..unit.unit import FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from ..weights.clip_vision import EncoderFile, fingerprint
from ..weights.encoders import Encoder
from ..weights.family import EMBED, HIDDEN, Family
from ..weights.loras import Lora, lora_inside, partner, separate_lora
from .compatibility import (
    refuse_mismatch,
    refuse_other_features,
    refuse_unsavable,
    refuse_unseen_compositions,
    refuse_unused_fields,
)
from .features import (
    Encodable,
    Encoded,
    EncodingSettings,
    FeatureMaker,
    Portraits,
    encoding_settings,
    projector_inputs,
    taken_features,
    zeros_for_nothing,
)
from .token_plan import (
    TOGETHER,
    UNCONDITIONAL,
    AnyInput,
    EncoderInput,
    Given,
    TokenPlan,
    TokenSet,
    faces_alone,
    plan_of,
    whole_pictures,
)
from .tokens import KeysValues, keys_and_values, project, usable_tensors

log = logging.getLogger(__name__)

LORAS_LIMIT = 4
"""LoRAs in the cache. Most are memory maps; those with a scale to multiply in take memory."""


@dataclass(frozen=True)
class PreparedUnit:
    """A unit with its files read and its references encoded."""

    unit: Unit
    adapter: AdapterFile
    layout: Layout
    plan: TokenPlan
    keys_values: KeysValues
    encoder: Encoder | None = None
    """The image encoder that the references were encoded with, if any."""
    unconditional: str = ""
    """The picture encoded for unconditional rows, "mean" or "black"; "" where none is."""
    saved: SavedReference | None = None
    """The saved reference that the unit uses, if any."""
    lora: Lora | None = None
    """The adapter's LoRA, where it has one and the unit does not switch it off."""
    subject: Subject | None = None
    """The subject whose references the unit uses, if any."""
    warnings: tuple[str, ...] = ()
    """Sentences about what makes the result worse than it could be."""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each picture's file, the saved reference and the subject, by field."""
        saved = {"embeds": self.saved.digest} if self.saved else {}
        subject = {"subject": self.subject.digest} if self.subject else {}
        return {field: file.digest for field, file in self.plan.files.items()} | saved | subject

    @property
    def own_files(self) -> list[ImageFile]:
        """The unit's own pictures, without those of a subject, which are stored with the subject."""
        return [file for field, file in self.plan.files.items() if not field.startswith("subject")]


class Preparation:
    """Prepares units, and caches files, features, and keys and values for later generations."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.files = ModelFiles(host.folders)
        self.pictures = ImageCache()
        self.faces = FaceFinder(lambda: host.folders().faces, host.face_device, lambda: host.folders().facexlib)
        self._saving = threading.Lock()
        self._features = FeatureMaker(host, BlankFeatures(lambda: host.folders().features, self.files.digests.known))
        self._loras: Cache[Lora] = Cache(LORAS_LIMIT, lambda _: 1)
        self._keys_values: Cache[KeysValues] = Cache(host.cache_limits().keys_values, lambda kept: kept.bytes)

    @property
    def encoding_seconds(self) -> float:
        """Seconds spent in encoders since the start."""
        return self._features.seconds

    def prepare(self, unit: Unit, unet: nn.Module) -> PreparedUnit:
        """Return the unit prepared for `unet`; raises `IPAdapterError` where it cannot run."""
        adapter = self.adapter(unit)
        refuse_mismatch(adapter, unet)
        layout = adapter.layout
        refuse_unseen_compositions(unit, layout)
        refuse_unused_fields(unit, adapter)
        encoder = self.files.encoder_for(adapter, unit.encoder, unit.encoder_size)
        saved = self.files.saved_reference(unit.embeds) if unit.embeds else None
        if saved:
            refuse_other_features(unit, saved, adapter, encoder)
        subject = self._subject(unit)
        plan = self._plan(unit, adapter, saved, self._of_subject(unit, subject))
        settings = encoding_settings(self.host, adapter.recognised.family)
        blank = encoder and not zeros_for_nothing(adapter.recognised.family) and plan.unconditional == UNCONDITIONAL
        unconditional = settings.unconditional if blank else ""
        with outside_inference_mode():
            keys_values, warnings = self._keys_and_values(unit, adapter, encoder, plan, saved, settings)
            lora, missing = self._lora(unit, adapter, layout)
        warnings = (*warnings, *missing)
        return PreparedUnit(
            unit, adapter, layout, plan, keys_values, encoder, unconditional, saved, lora, subject, warnings
        )

    def adapter(self, unit: Unit) -> AdapterFile:
        """Return the unit's adapter, as the variant that the unit chooses."""
        return self.files.adapter(unit.model).as_variant(unit.variant)

    def adapter_as_known(self, unit: Unit) -> AdapterFile:
        """Return the unit's adapter as `adapter` does, but without waiting for the hash of its file."""
        return self.files.adapter_as_known(unit.model).as_variant(unit.variant)

    def unencoded(self, adapter: AdapterFile, encoder: Encoder, inputs: Iterable[AnyInput]) -> set[str]:
        """Return the pictures, by digest, of inputs that are not encoded yet."""
        own = [each for each in inputs if isinstance(each, EncoderInput)]
        portraits = self.portraits(adapter.recognised.family)
        settings = encoding_settings(self.host, adapter.recognised.family)
        missing = self._features.missing(encoder, own, settings, portraits)
        return {each.digest for each in missing if isinstance(each, EncoderInput)}

    def ran_on_cpu(self, encoder: Encoder) -> bool:
        """Return whether the device had too little memory for an encoder before."""
        return encoder.identity in self._features.too_large

    def plan(self, unit: Unit, adapter: AdapterFile) -> TokenPlan:
        """Return the plan of a unit whose references are pictures. Finds faces, but encodes nothing."""
        return self._plan(unit, adapter, None, self.pictures_of_subject(unit))

    def save(self, name: str, unit: Unit, overwrite: bool) -> SavedReference:
        """Encode a unit's references and save their features; raises `IPAdapterError` where that fails.

        Uses the unit's references with their weights, and its adapter, encoder, crop and tiles.
        """
        adapter = self.files.adapter(unit.model)
        encoder = self.files.encoder_for(adapter, unit.encoder, unit.encoder_size)
        if not isinstance(encoder, EncoderFile) or adapter.recognised.family.face_embedding:
            kept = "face embeddings" if adapter.recognised.family.face_embedding else "its encoder's features"
            why = f"is {adapter.recognised.title}, and {kept} cannot be saved. Choose another adapter."
            raise UnitError("model", unit.model, why)
        refuse_unsavable(unit)
        alone = references_alone(unit)
        with self._saving, outside_inference_mode():
            path = self.files.path_to_save(name, overwrite)
            plan = plan_of(alone, self.pictures, whole_pictures(alone), more=self.pictures_of_subject(alone))
            squares = [each for reference in plan.references for each in reference.inputs]
            inputs = [each for each in squares if isinstance(each, EncoderInput)]
            encoded = self._features.encode(encoder, inputs, plan.files, encoding_settings(self.host)).features
            features = {
                takes: torch.cat([encoded[each].taken(takes)[0] for each in inputs]) for takes in (EMBED, HIDDEN)
            }
            pictures = [SavedPicture(reference.weight, reference.places) for reference in plan.references]
            write_saved(path, pictures, features, encoder.path.name, fingerprint(encoder))
            self.files.saved.rescan()
        return self.files.saved.open(path)

    def pictures_of_subject(self, unit: Unit) -> Given:
        """Return the references of the unit's subject, if any."""
        return self._of_subject(unit, self._subject(unit))

    def _subject(self, unit: Unit) -> Subject | None:
        return self.files.subjects.find("subject", unit.subject) if unit.subject else None

    def _of_subject(self, unit: Unit, subject: Subject | None) -> Given:
        """Return the references of a unit's subject, each as a `Picture` of the unit.

        Raises `UnitError` where they contradict the unit's settings.
        """
        if subject is None:
            return ()
        given = [
            (f"subject[{i}]", Picture("", each.weight, crop=each.crop, box=each.box), file)
            for i, (each, file) in enumerate(zip(subject.pictures, self.files.subjects.files(subject), strict=True))
        ]
        refuse_contradictions(replace(unit, images=(*unit.images, *(picture for _, picture, _ in given))))
        return [entry for entry in given if entry[1].weight]

    def _plan(self, unit: Unit, adapter: AdapterFile, saved: SavedReference | None, more: Given) -> TokenPlan:
        """Return the unit's plan; for an adapter that takes faces, with the faces that the unit selects."""
        if not adapter.recognised.family.face_embedding:
            return plan_of(unit, self.pictures, whole_pictures(unit), saved, more)
        family = adapter.recognised.family

        def faces_of(field: str, picture: Picture, file: ImageFile) -> Sequence[Face]:
            return self.chosen_faces(unit, adapter, field, picture, file)

        return plan_of(unit, self.pictures, faces_alone(faces_of), saved, more, family.together)

    def chosen_faces(
        self, unit: Unit, adapter: AdapterFile, field: str, picture: Picture, file: ImageFile
    ) -> Sequence[Face]:
        """Return the faces that a unit selects in a picture; raises `UnitError` if there are none."""
        family, pack = adapter.recognised.family, PACKS[adapter.recognised.pack]
        find = self.faces.faces_or_portrait if family.portrait else self.faces.required_faces_of
        found = find(field, file, pack)
        inside = faces_inside(found, picture.box, self.pictures.size(field, file)) if picture.box else found
        return choose(field, required_inside(field, inside), unit.face)

    def portraits(self, family: Family) -> Portraits | None:
        """Return what cuts faces out for a family's image encoder; None where it gets the aligned face."""
        return self.faces if family.portrait else None

    def _keys_and_values(
        self,
        unit: Unit,
        adapter: AdapterFile,
        encoder: Encoder | None,
        plan: TokenPlan,
        saved: SavedReference | None,
        settings: EncodingSettings,
    ) -> tuple[KeysValues, tuple[str, ...]]:
        """Return a unit's keys and values, and warnings. Only results with the requested settings are cached."""
        own = projector_settings(unit, adapter)
        key = (adapter.identity, encoder and encoder.identity, settings, plan.batches, *own.items())
        if (kept := self._keys_values.find(key)) is not None:
            return kept, ()
        encoded, family = Encoded({}, settings), adapter.recognised.family
        if encoder:
            wanted = encodable(plan, family)
            encoded = self._features.encode(encoder, wanted, plan.files, settings, self.portraits(family))
        tensors = usable_tensors(adapter)
        taken = taken_features(family, encoded.features, plan, saved)

        def tokens_of(batch: Sequence[TokenSet]) -> Tensor:
            """Return the image tokens of several sets, projected in one batch: (sets, tokens, context dim)."""
            inputs = [projector_inputs(family, one, taken) for one in batch]
            merged = [_merge_features(one, each) for one, each in zip(batch, inputs, strict=True)]
            tokens = project(adapter, tensors, *map(torch.cat, zip(*merged, strict=True)), **own)
            parts = tokens.split([len(each[0]) for each in merged])
            return torch.cat([_merge_tokens(one, part) for one, part in zip(batch, parts, strict=True)])

        tokens = torch.cat([tokens_of(batch) for batch in plan.batches])
        sets = tuple(one for batch in plan.batches for one in batch)
        made = keys_and_values(tensors, adapter.layout, tokens, settings.device, sets, family.layers)
        if encoded.settings != settings:
            return made, (f"Not enough device memory for {encoder.path.name}; it ran on the CPU." if encoder else "",)
        return self._keys_values.keep(key, made), self.faces.warnings if family.face_embedding else ()

    def missing_lora(self, unit: Unit, adapter: AdapterFile) -> str:
        """Return a warning that the adapter's LoRA is missing, or "" if it is there or the unit does not use it.

        Raises `UnitError` where it is missing and the unit sets a weight for it.
        """
        if not _wants_lora(unit, adapter) or adapter.recognised.lora or self.files.lora_of(adapter):
            return ""
        return _missing_lora(unit, adapter)

    def _lora(self, unit: Unit, adapter: AdapterFile, layout: Layout) -> tuple[Lora | None, tuple[str, ...]]:
        """Return the LoRA that the adapter was trained with, from the adapter's file or from a separate file."""
        if not _wants_lora(unit, adapter):
            return None, ()
        path = None if adapter.recognised.lora else self.files.lora_of(adapter)
        if path is None and not adapter.recognised.lora:
            missing = _missing_lora(unit, adapter)
            log.warning(missing)
            return None, (missing,)
        key = (adapter.identity, path and file_identity(path))
        if (kept := self._loras.find(key)) is not None:
            return kept, ()
        lora = separate_lora(path, adapter, layout) if path else lora_inside(adapter, layout, usable_tensors(adapter))
        return self._loras.keep(key, lora), ()


@contextmanager
def outside_inference_mode() -> Generator[None, None, None]:
    """Leave the host's inference mode, so that the tensors made here can be used outside it later."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def encodable(plan: TokenPlan, family: Family) -> list[Encodable]:
    """Return what an image encoder has to encode for a plan, the unconditional picture first.

    Families that take the face cut out see zeros without a picture, in the shape of a face's features.
    """
    blank = plan.unconditional == UNCONDITIONAL and not family.portrait
    unconditional: list[Encodable] = [UNCONDITIONAL] if blank else []
    return unconditional + [each for each in plan.inputs if isinstance(each, EncoderInput)]


def projector_settings(unit: Unit, adapter: AdapterFile) -> dict[str, float]:
    """Return the unit's fields that its adapter's projector takes as arguments."""
    variant = adapter.recognised.variant
    return {name: getattr(unit, name) for name in (variant.settings if variant else ())}


def _merge_features(token_set: TokenSet, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if token_set.combine == TOGETHER:
        return tuple(_in_one_call(each) for each in inputs)
    how = MERGED.get(token_set.combine)
    return tuple(merge(how, each, token_set.weights) for each in inputs) if how else inputs


def _in_one_call(each: Tensor) -> Tensor:
    """Return embeddings (inputs, width) as (1, inputs, width), and states (inputs, states, width) in one row."""
    return each[None] if each.dim() == 2 else each.flatten(0, 1)[None]


def _merge_tokens(token_set: TokenSet, tokens: Tensor) -> Tensor:
    how = TOKENS_MERGED.get(token_set.combine)
    return merge(how, tokens, token_set.weights) if how else tokens


def _missing_lora(unit: Unit, adapter: AdapterFile) -> str:
    """Return a warning that an adapter's LoRA is missing; raises `UnitError` where the unit sets a weight for it."""
    missing = f"{adapter.path.name} contains no LoRA, and {partner(adapter.path)}.safetensors was not found next to it"
    if unit.lora_weight != FIELDS["lora_weight"].default:
        raise UnitError("lora_weight", unit.lora_weight, f"has no effect: {missing}. Put it there, or set 0.")
    return f"{missing}: the likeness will be weak. Put it there."


def _wants_lora(unit: Unit, adapter: AdapterFile) -> bool:
    return "lora_weight" in adapter.recognised.family.fields and bool(unit.lora_weight)


def references_alone(unit: Unit) -> Unit:
    """Return a unit reduced to its references and the settings for encoding them."""
    return replace(unit, negative_images=(), composition_images=(), noise=0.0, mask=None, region="")
