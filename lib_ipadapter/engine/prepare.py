"""From a unit as the user set it to the image keys and values of every site, computing only what is new."""

import json
import logging
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..base.cache import Cache
from ..base.errors import IPAdapterError, UnitError
from ..base.files import file_identity
from ..faces.insightface_models import PACKS, Face, FaceFinder, choose
from ..files.model_files import ModelFiles
from ..files.saved_embeds import SavedPicture, SavedReference, write_saved
from ..files.subject_record import Subject
from ..networks.unet_modules import context_dim, find_attentions, widths
from ..networks.unet_sites import Layout, sites
from ..pictures.image_cache import ImageCache
from ..pictures.image_file import ImageFile
from ..port import Host
from ..unit.combine import MERGED, TOKENS_MERGED, merge
from ..unit.fields import Picture
from ..unit.schedule import layer_weights
from ..unit.unit import FIELDS, Unit, refuse_contradictions
from ..weights.adapter_file import AdapterFile
from ..weights.clip_vision import EncoderFile, fingerprint
from ..weights.families import EMBED, FACE_FIELDS, HIDDEN, adapters_for, base_name, network_without_unet
from ..weights.loras import Lora, lora_apart, lora_inside, partner
from .features import FeatureMaker
from .token_plan import (
    UNCONDITIONAL_INPUT,
    EncoderInput,
    Given,
    TokenPlan,
    TokenRecipe,
    faces_alone,
    plan_of,
    whole_pictures,
)
from .tokens import KeysValues, keys_and_values, project, usable_tensors

Settings = Mapping[str, float]
"""Fields of a unit that a projector takes."""

log = logging.getLogger(__name__)

LORAS_LIMIT = 4
"""LoRAs kept: memory maps, but where a scale had to be multiplied in."""

WORDS = {EMBED: "an image embedding", HIDDEN: "hidden states"}
"""What a family takes, as it stands in a sentence."""


@dataclass(frozen=True)
class PreparedUnit:
    """A unit whose files were read and whose references were encoded."""

    unit: Unit
    adapter: AdapterFile
    layout: Layout
    plan: TokenPlan
    keys_values: KeysValues
    """The unconditional set, then the plan's images, then its compositions."""
    saved: SavedReference | None = None
    """Where the images come from, if the unit has a saved reference."""
    lora: Lora | None = None
    """The adapter's own LoRA, where it has one and the unit wants it."""
    subject: Subject | None = None
    """Where some of the references come from, if the unit has a subject."""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each picture's file, and of the saved reference and the subject, by its field."""
        saved = {"embeds": self.saved.digest} if self.saved else {}
        subject = {"subject": self.subject.digest} if self.subject else {}
        return {field: file.digest for field, file in self.plan.files.items()} | saved | subject

    @property
    def own_files(self) -> list[ImageFile]:
        """The pictures that the unit was sent itself; those of a subject have their place already."""
        return [file for field, file in self.plan.files.items() if not field.startswith("subject")]


class Preparation:
    """Prepares units, and keeps what generations share: files, features, and keys and values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.files = ModelFiles(host.folders)
        self._saving = threading.Lock()
        self.pictures = ImageCache()
        self.faces = FaceFinder(lambda: host.folders().faces)
        self._features = FeatureMaker(host)
        self._loras: Cache[Lora] = Cache(LORAS_LIMIT, lambda _: 1)
        self._keys_values: Cache[KeysValues] = Cache(host.cache_limits().keys_values, lambda kept: kept.bytes)

    def prepare(self, unit: Unit, unet: nn.Module) -> PreparedUnit:
        """Return the unit ready for `unet`; raises `IPAdapterError` with a sentence where it cannot run."""
        adapter = self.files.adapter(unit.model).as_variant(unit.variant)
        if reason := reason_against(adapter, unet):
            raise IPAdapterError(reason)
        layout = adapter.layout
        _refuse_idle_composition(unit, layout)
        refuse_idle_fields(unit, adapter)
        encoder = self.files.encoder_for(adapter, unit.encoder)
        saved = self.files.saved_reference(unit.embeds) if unit.embeds else None
        if saved:
            _refuse_wrong_pair(unit, saved, adapter, encoder)
        subject = self.files.subjects.find("subject", unit.subject) if unit.subject else None
        plan = self._plan(unit, adapter, saved, self._of_subject(unit, subject))
        with lasting():
            keys_values = self._kept(unit, adapter, encoder, plan, saved)
            return PreparedUnit(
                unit, adapter, layout, plan, keys_values, saved, self._lora(unit, adapter, layout), subject
            )

    def plan(self, unit: Unit, adapter: AdapterFile) -> TokenPlan:
        """Return the plan of a unit whose references are pictures, in which every face is found; it encodes nothing."""
        return self._plan(unit, adapter, None, self.pictures_of_subject(unit))

    def save(self, name: str, unit: Unit, overwrite: bool) -> SavedReference:
        """Encode a unit's references and save them under a name; raises `IPAdapterError` where that cannot be done.

        Of the unit, its references with their weights count, and how they are encoded: adapter, encoder, crop, tiles.
        """
        adapter = self.files.adapter(unit.model)
        encoder = self.files.encoder_for(adapter, unit.encoder)
        if encoder is None or adapter.recognised.family.face_embedding:
            why = f"is {adapter.recognised.title}, which sees faces; these are not saved. Choose another one."
            raise UnitError("model", unit.model, why)
        _refuse_unsavable(unit)
        alone = references_alone(unit)
        with self._saving, lasting():
            path = self.files.path_to_save(name, overwrite)
            plan = plan_of(alone, self.pictures, whole_pictures(alone), more=self.pictures_of_subject(alone))
            encoded = self._features.encode(encoder, plan)
            squares = [encoded[shot] for shot in plan.images.shots if isinstance(shot, EncoderInput)]
            features = {takes: torch.cat([each.of(takes) for each in squares]) for takes in (EMBED, HIDDEN)}
            pictures = [SavedPicture(motif.weight, motif.places) for motif in plan.motifs]
            write_saved(path, pictures, features, encoder.path.name, fingerprint(encoder))
            self.files.saved.rescan()
        return self.files.saved.open(path)

    @property
    def encoding_seconds(self) -> float:
        """Spent in encoders since the start."""
        return self._features.seconds

    def pictures_of_subject(self, unit: Unit) -> Given:
        """Return the references of the subject that a unit names, if any."""
        return self._of_subject(unit, self.files.subjects.find("subject", unit.subject) if unit.subject else None)

    def _of_subject(self, unit: Unit, subject: Subject | None) -> Given:
        """Return the references of a unit's subject, each with the picture that it would be in the unit.

        Raises `UnitError` where they do not go together with the unit's settings.
        """
        if subject is None:
            return ()
        given = [
            (f"subject[{i}]", Picture("", each.weight, crop=each.crop), file)
            for i, (each, file) in enumerate(zip(subject.pictures, self.files.subjects.files(subject), strict=True))
        ]
        refuse_contradictions(replace(unit, images=(*unit.images, *(picture for _, picture, _ in given))))
        return [entry for entry in given if entry[1].weight]

    def _plan(self, unit: Unit, adapter: AdapterFile, saved: SavedReference | None, more: Given) -> TokenPlan:
        """Return the unit's plan; an adapter that takes faces sees those that the unit means, of every picture."""
        if not adapter.recognised.family.face_embedding:
            return plan_of(unit, self.pictures, whole_pictures(unit), saved, more)
        pack = PACKS[adapter.recognised.pack]

        def faces_of(field: str, file: ImageFile) -> Sequence[Face]:
            return choose(field, self.faces.find(field, file, pack), unit.face)

        return plan_of(unit, self.pictures, faces_alone(faces_of), saved, more)

    def _lora(self, unit: Unit, adapter: AdapterFile, layout: Layout) -> Lora | None:
        """Return the LoRA that the adapter was trained with, from its own file or else from one of its own."""
        if "lora_weight" not in adapter.recognised.family.fields or not unit.lora_weight:
            return None
        path = None if adapter.recognised.lora else self.files.lora_of(adapter)
        if path is None and not adapter.recognised.lora:
            _miss_lora(unit, adapter)
            return None
        key = (adapter.identity, path and file_identity(path))
        if (kept := self._loras.find(key)) is not None:
            return kept
        inside = path is None
        lora = lora_inside(adapter, layout, usable_tensors(adapter)) if inside else lora_apart(path, adapter, layout)
        return self._loras.keep(key, lora)

    def _kept(
        self,
        unit: Unit,
        adapter: AdapterFile,
        encoder: EncoderFile | None,
        plan: TokenPlan,
        saved: SavedReference | None,
    ) -> KeysValues:
        recipes, identity = (plan.negatives, plan.images, plan.compositions), encoder and encoder.identity
        settings = _settings(unit, adapter)
        convention = self.host.unconditional()
        key = (adapter.identity, identity, *self._features.precision, convention, recipes, *settings.items())
        found = self._keys_values.find(key)
        return found or self._keys_values.keep(key, self._compute(adapter, encoder, plan, saved, settings))

    def _compute(
        self,
        adapter: AdapterFile,
        encoder: EncoderFile | None,
        plan: TokenPlan,
        saved: SavedReference | None,
        settings: Settings,
    ) -> KeysValues:
        layout, tensors = adapter.layout, usable_tensors(adapter)
        parts = self._features.parts(adapter.recognised.family, encoder, plan, saved)

        def tokens_of(recipe: TokenRecipe) -> Tensor:
            """Return a recipe's sets of image tokens: (sets, tokens, context dim)."""
            features = [torch.cat(column) for column in zip(*(parts[shot] for shot in recipe.shots), strict=True)]
            if how := MERGED.get(recipe.combine):
                features = [merge(how, each, recipe.weights) for each in features]
            tokens = project(adapter, tensors, *features, **settings)
            how = TOKENS_MERGED.get(recipe.combine)
            return merge(how, tokens, recipe.weights) if how else tokens

        nothing = TokenRecipe((UNCONDITIONAL_INPUT,))
        recipes = [plan.negatives if plan.negatives.shots else nothing, plan.images, plan.compositions]
        sets = torch.cat([tokens_of(recipe) for recipe in recipes if recipe.shots])
        return keys_and_values(tensors, layout, sets, self.host.compute_device())


@contextmanager
def lasting() -> Generator[None, None, None]:
    """Make what is computed in the context outlive the mode that the host is in just now."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _settings(unit: Unit, adapter: AdapterFile) -> Settings:
    variant = adapter.recognised.variant
    return {name: getattr(unit, name) for name in (variant.settings if variant else ())}


def reason_against(adapter: AdapterFile, unet: nn.Module) -> str | None:
    """Return why an adapter cannot run on a loaded checkpoint's network, or None where it can.

    A U-Net may lack some of its layout's sites, as pruned ones do; those that it has must fit in width.
    """
    if adapter.reason:
        return adapter.reason
    found, attentions = adapter.recognised, find_attentions(unet)
    if not attentions:
        return (
            f"{adapter.path.name} is for {found.base}, but the loaded checkpoint {_no_unet(unet)}. "
            f"Load a checkpoint made from {found.base}."
        )
    own = widths(attentions)
    theirs = {site: adapter.shapes[f"ip_adapter.{site.key}.to_k_ip.weight"][0] for site in sites(adapter.layout)}
    if own.items() <= theirs.items() and context_dim(attentions) == found.context_dim:
        return None
    loaded = base_name(context_dim(attentions), len(attentions))
    return (
        f"{adapter.path.name} is for {found.base}, but the loaded checkpoint is {loaded}. "
        "Choose an adapter made for that, or load another checkpoint."
    )


def _no_unet(network: nn.Module) -> str:
    """Return what a loaded checkpoint without the known cross-attentions is, as it stands in a sentence."""
    base = network_without_unet(dict(network.named_children()))
    if not base:
        return "has no U-Net of that kind, and adapters for other kinds of networks do not run yet"
    known = " or ".join(adapters_for(base)) or f"an adapter for {base}"
    return f"is of {base}'s kind, which has no U-Net, and {known} does not run yet"


def _miss_lora(unit: Unit, adapter: AdapterFile) -> None:
    """Warn that an adapter's LoRA is missing; raise `UnitError` where the unit asks for a strength of it."""
    missing = f"{adapter.path.name} has no LoRA inside, and {partner(adapter.path)}.safetensors was not found beside it"
    if unit.lora_weight != FIELDS["lora_weight"].default:
        raise UnitError("lora_weight", unit.lora_weight, f"cannot act: {missing}. Put it there, or set 0.")
    log.warning("%s: the likeness will be weak.", missing)


def _refuse_idle_composition(unit: Unit, layout: Layout) -> None:
    """Raise a `UnitError` where the unit names layers that are not there, or composition references without any."""
    composed = any(at.composition for at in layer_weights(unit, layout).values())
    if unit.composition_images and not composed:
        raise UnitError(
            "composition_images",
            f"{len(unit.composition_images)} pictures",
            f"would not be seen: with weight type {unit.weight_type} and these weights no composition layer acts.",
        )


def references_alone(unit: Unit) -> Unit:
    """Return a unit with nothing but its references, and how these are seen."""
    return replace(unit, negative_images=(), composition_images=(), noise=0.0, mask=None, region="")


def _refuse_unsavable(unit: Unit) -> None:
    """Raise a `UnitError` where a unit has no references of its own, or some that could not be saved whole."""
    if not unit.images and not unit.subject:
        raise UnitError("images", [], "is required: the pictures to save.")
    masked = next((f"images[{i}].mask" for i, picture in enumerate(unit.images) if picture.mask is not None), None)
    if masked:
        raise UnitError(
            masked, "a picture", "cannot be saved: a region belongs to a unit. Leave it out, and give the unit a mask."
        )


def _refuse_wrong_pair(unit: Unit, saved: SavedReference, adapter: AdapterFile, encoder: EncoderFile | None) -> None:
    """Raise a `UnitError` where a saved reference holds nothing that the adapter takes, or another encoder's."""
    if encoder is None or adapter.recognised.family.face_embedding:
        why = f'"{saved.name}" holds what an image encoder saw, but {adapter.path.name} sees faces. Send pictures.'
        raise UnitError("embeds", unit.embeds, why)
    takes = adapter.recognised.family.takes
    own = {EMBED: (encoder.projection,), HIDDEN: (encoder.states, encoder.width)}
    if takes not in saved.shapes:
        held = " and ".join(f"{WORDS[kind]} {shape[1:]}" for kind, shape in saved.shapes.items())
        raise UnitError(
            "embeds",
            unit.embeds,
            f'"{saved.name}" holds {held} alone, but {adapter.path.name} takes {WORDS[takes]}. '
            "Choose an adapter of the other kind, or save the pictures anew.",
        )
    known = saved.fingerprint in ("", fingerprint(encoder))
    if saved.shapes[takes][1:] != own[takes] or not known:
        made_by = saved.encoder or f"an image encoder with {WORDS[takes]} {saved.shapes[takes][1:]}"
        raise UnitError(
            "embeds",
            unit.embeds,
            f'"{saved.name}" was made by {made_by}, but the unit uses {encoder.path.name} ({encoder.name}, with '
            f"{WORDS[takes]} {own[takes]}). Choose that encoder or an adapter for it, or save the pictures anew.",
        )


def refuse_idle_fields(unit: Unit, adapter: AdapterFile) -> None:
    """Raise a `UnitError` for a field that has no meaning for the unit's adapter, and is set all the same."""
    found = adapter.recognised
    idle = set(FACE_FIELDS) - set(found.family.fields)
    if found.variant and "structure_weight" not in found.variant.settings:
        idle.add("structure_weight")
    if found.family.face_embedding:
        idle |= {"tiles", "noise", "enhance"}
    for name in sorted(idle):
        value, default = getattr(unit, name), FIELDS[name].default
        if value != default:
            why = f"has no meaning for {adapter.path.name}, {found.title}; leave it at {json.dumps(default)}."
            raise UnitError(name, value, why)
