"""From a unit as the user set it to the image keys and values of every site, computing only what is new."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from .adapter import context_dim, find_attentions, widths
from .cache import Cache
from .checkpoint import AdapterFile
from .combining import MERGED, TOKENS_MERGED, merge
from .crops import normalise, resize_for, to_levels
from .encoders import UNCONDITIONAL, EncoderFile, Features, encode
from .errors import IPAdapterError, UnitError
from .families import EMBED, base_name
from .hosts.host import Host
from .library import Library
from .noises import add_noise
from .picture_files import PictureFiles
from .plan import EMPTY_SHOT, Plan, Recipe, Shot, plan_of
from .reference import Reference, decode
from .schedule import layer_weights
from .tiles import cut
from .tokens import KeysValues, keys_and_values, project, refuse_unsound, usable_tensors
from .unet_map import Layout, Site, sites
from .units import Unit

log = logging.getLogger(__name__)

FEATURES_LIMIT = 256 << 20
"""Bytes of features kept: about two hundred pictures of ViT-H."""
KEYS_VALUES_LIMIT = 256 << 20
"""Bytes of image keys and values kept: about ten units of SDXL Plus."""


@dataclass(frozen=True)
class Prepared:
    """A unit whose files were read and whose references were encoded."""

    unit: Unit
    adapter: AdapterFile
    layout: Layout
    plan: Plan
    keys_values: KeysValues
    """The unconditional set, then the plan's images, then its compositions."""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each picture's file, by its field."""
        return {field: file.digest for field, file in self.plan.files.items()}


class Preparation:
    """Prepares units, and keeps what generations share: files, features, and keys and values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.library = Library(host.folders)
        self._pictures = PictureFiles()
        self._features: Cache[Features] = Cache(FEATURES_LIMIT, lambda kept: kept.bytes)
        self._keys_values: Cache[KeysValues] = Cache(KEYS_VALUES_LIMIT, lambda kept: kept.bytes)

    def prepare(self, unit: Unit, unet: nn.Module) -> Prepared:
        """Return the unit ready for `unet`; raises `IPAdapterError` with a sentence where it cannot run."""
        adapter = self.library.adapter(unit.model)
        if reason := reason_against(adapter, find_attentions(unet)):
            raise IPAdapterError(reason)
        layout = refuse_unsound(adapter)
        _refuse_idle_composition(unit, layout)
        encoder = self.library.encoder_for(adapter, unit.encoder)
        plan = plan_of(unit, self._pictures)
        with torch.inference_mode(False), torch.no_grad():  # what is kept outlives the mode the host is in just now
            return Prepared(unit, adapter, layout, plan, self._kept(adapter, encoder, plan))

    @property
    def _precision(self) -> tuple[torch.device, torch.dtype]:
        return self.host.compute_device(), self.host.compute_dtype()

    def _kept(self, adapter: AdapterFile, encoder: EncoderFile, plan: Plan) -> KeysValues:
        recipes = (plan.negatives, plan.images, plan.compositions)
        key = (adapter.identity, encoder.identity, *self._precision, self.host.unconditional(), recipes)
        return self._keys_values.find(key) or self._keys_values.keep(key, self._compute(adapter, encoder, plan))

    def _compute(self, adapter: AdapterFile, encoder: EncoderFile, plan: Plan) -> KeysValues:
        layout, tensors = refuse_unsound(adapter), usable_tensors(adapter)
        takes = adapter.recognised.family.takes
        encoded = {shot: features.of(takes) for shot, features in self._encode(encoder, plan).items()}
        empty = encoded[EMPTY_SHOT]
        nothing = torch.zeros_like(empty) if takes == EMBED else empty
        tokens_of = partial(_tokens_of, adapter, tensors, encoded)
        sets = [tokens_of(plan.negatives) if plan.negatives.shots else project(adapter, tensors, nothing)]
        sets += [tokens_of(recipe) for recipe in (plan.images, plan.compositions) if recipe.shots]
        return keys_and_values(tensors, layout, torch.cat(sets), self.host.compute_device())

    def _encode(self, encoder: EncoderFile, plan: Plan) -> dict[Shot, Features]:
        """Return the features of a plan's shots and of the empty picture; only what is new is encoded."""
        convention = self.host.unconditional()
        files = {file.digest: (field, file) for field, file in plan.files.items()}
        pixels = {EMPTY_SHOT: partial(UNCONDITIONAL[convention], encoder)}
        for shot in (*plan.negatives.shots, *plan.images.shots, *plan.compositions.shots):
            pixels[shot] = partial(_pixels, *files[shot.digest], encoder, shot)
        keys = {shot: (shot, convention, encoder.identity, *self._precision) for shot in pixels}
        features = {shot: found for shot, key in keys.items() if (found := self._features.find(key))}
        new = [shot for shot in pixels if shot not in features]
        for shot, made in zip(new, self._run(encoder, [pixels[shot]() for shot in new]), strict=True):
            features[shot] = self._features.keep(keys[shot], made)
        return features

    def _run(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        """Encode on the host's device, or on the CPU where that is too full."""
        if not pixels:
            return []
        self.host.make_room(encoder.parameters * self.host.compute_dtype().itemsize)
        try:
            return encode(encoder, pixels, *self._precision)
        except torch.cuda.OutOfMemoryError:
            log.warning("%s did not fit on the device beside the checkpoint; encoding on the CPU.", encoder.path.name)
            return encode(encoder, pixels, torch.device("cpu"), torch.float32)


def _tokens_of(
    adapter: AdapterFile, tensors: Mapping[str, Tensor], encoded: Mapping[Shot, Tensor], recipe: Recipe
) -> Tensor:
    """Return the sets of image tokens of a recipe: (sets, tokens, context dim)."""
    each = torch.cat([encoded[shot] for shot in recipe.shots])
    if how := MERGED.get(recipe.combine):
        each = merge(how, each, recipe.weights)
    tokens = project(adapter, tensors, each)
    how = TOKENS_MERGED.get(recipe.combine)
    return merge(how, tokens, recipe.weights) if how else tokens


def reason_against(adapter: AdapterFile, attentions: Mapping[Site, nn.Module]) -> str | None:
    """Return why an adapter cannot run on a U-Net with these cross-attentions, or None where it can.

    A U-Net may lack some of its layout's sites, as pruned ones do; those that it has must fit in width.
    """
    try:
        layout = refuse_unsound(adapter)
    except IPAdapterError as error:
        return error.sentence
    found = adapter.recognised
    if not attentions:
        return (
            f"{adapter.path.name} is for {found.base}, but the loaded checkpoint has no U-Net of that kind. "
            f"Load a checkpoint made from {found.base}; adapters for other kinds of networks do not run yet."
        )
    own = widths(attentions)
    theirs = {site: adapter.shapes[f"ip_adapter.{site.key}.to_k_ip.weight"][0] for site in sites(layout)}
    if own.items() <= theirs.items() and context_dim(attentions) == found.context_dim:
        return None
    loaded = base_name(context_dim(attentions), len(attentions))
    return (
        f"{adapter.path.name} is for {found.base}, but the loaded checkpoint is {loaded}. "
        "Choose an adapter made for that, or load another checkpoint."
    )


def _refuse_idle_composition(unit: Unit, layout: Layout) -> None:
    """Raise a `UnitError` where the unit names layers that are not there, or composition references without any."""
    composed = any(at.composition for at in layer_weights(unit, layout).values())
    if unit.composition_images and not composed:
        raise UnitError(
            "composition_images",
            f"{len(unit.composition_images)} pictures",
            f"would not be seen: with weight type {unit.weight_type} and these weights no composition layer acts.",
        )


def _pixels(field: str, reference: Reference, encoder: EncoderFile, shot: Shot) -> Tensor:
    """Return a shot's pixels, normalised; noise is seeded by the picture, so that it is the same every time."""
    picture = decode(field, reference.content)
    if shot.tile:
        picture = cut(picture, shot.tile.source)
    levels = to_levels(resize_for(picture, encoder.image_size, shot.crop))
    if shot.noise:
        levels = add_noise(*shot.noise, levels, seed=int(shot.digest[:15], 16))
    return normalise(levels)
