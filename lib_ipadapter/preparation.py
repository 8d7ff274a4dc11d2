"""From a unit as the user set it to the image keys and values of every site, computing only what is new."""

import itertools
import logging
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from .adapter import context_dim, find_attentions, widths
from .cache import Cache
from .checkpoint import AdapterFile
from .combining import MERGED, TOKENS_MERGED, merge
from .crops import normalise, resize_for, to_levels
from .encoders import UNCONDITIONAL, EncoderFile, Features, encode, fingerprint
from .enhancing import enhanced, squares_of
from .errors import IPAdapterError, UnitError
from .families import EMBED, HIDDEN, base_name
from .hosts.host import Host
from .library import Library
from .noises import add_noise
from .picture_files import PictureFiles
from .plan import EMPTY_SHOT, AnyShot, Plan, Recipe, Shot, plan_of
from .reference import Reference, decode
from .saved import SavedPicture, SavedReference, write_saved
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


WORDS = {EMBED: "an image embedding", HIDDEN: "hidden states"}
"""What a family takes, as it stands in a sentence."""


@dataclass(frozen=True)
class Prepared:
    """A unit whose files were read and whose references were encoded."""

    unit: Unit
    adapter: AdapterFile
    layout: Layout
    plan: Plan
    keys_values: KeysValues
    """The unconditional set, then the plan's images, then its compositions."""
    saved: SavedReference | None = None
    """Where the images come from, if the unit has a saved reference."""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each picture's file and of the saved reference's, by its field."""
        saved = {"embeds": self.saved.digest} if self.saved else {}
        return {field: file.digest for field, file in self.plan.files.items()} | saved


class Preparation:
    """Prepares units, and keeps what generations share: files, features, and keys and values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.library = Library(host.folders)
        self._saving = threading.Lock()
        self._pictures = PictureFiles()
        self._features: Cache[Features] = Cache(FEATURES_LIMIT, lambda kept: kept.bytes)
        self.encoding_seconds = 0.0
        """Spent in encoders since the start."""
        self._keys_values: Cache[KeysValues] = Cache(KEYS_VALUES_LIMIT, lambda kept: kept.bytes)

    def prepare(self, unit: Unit, unet: nn.Module) -> Prepared:
        """Return the unit ready for `unet`; raises `IPAdapterError` with a sentence where it cannot run."""
        adapter = self.library.adapter(unit.model)
        if reason := reason_against(adapter, find_attentions(unet)):
            raise IPAdapterError(reason)
        layout = refuse_unsound(adapter)
        _refuse_idle_composition(unit, layout)
        encoder = self.library.encoder_for(adapter, unit.encoder)
        saved = self.library.saved_reference(unit.embeds) if unit.embeds else None
        if saved:
            _refuse_wrong_pair(unit, saved, adapter, encoder)
        plan = plan_of(unit, self._pictures, saved)
        with lasting():
            return Prepared(unit, adapter, layout, plan, self._kept(adapter, encoder, plan, saved), saved)

    def save(self, name: str, unit: Unit, overwrite: bool) -> SavedReference:
        """Encode a unit's references and save them under a name; raises `IPAdapterError` where that cannot be done.

        Of the unit, its references with their weights count, and how they are encoded: adapter, encoder, crop, tiles.
        """
        _refuse_unsavable(unit)
        encoder = self.library.encoder_for(self.library.adapter(unit.model), unit.encoder)
        alone = replace(unit, negative_images=(), composition_images=(), noise=0.0, mask=None)
        with self._saving, lasting():
            path = self.library.path_to_save(name, overwrite)
            plan = plan_of(alone, self._pictures)
            encoded = self._encode(encoder, plan)
            squares = [encoded[shot] for shot in plan.images.shots]
            features = {takes: torch.cat([each.of(takes) for each in squares]) for takes in (EMBED, HIDDEN)}
            pictures = [SavedPicture(subject.weight, subject.places) for subject in plan.subjects]
            write_saved(path, pictures, features, encoder.path.name, fingerprint(encoder))
            self.library.saved.rescan()
        return self.library.saved.open(path)

    @property
    def _precision(self) -> tuple[torch.device, torch.dtype]:
        return self.host.compute_device(), self.host.compute_dtype()

    def _kept(self, adapter: AdapterFile, encoder: EncoderFile, plan: Plan, saved: SavedReference | None) -> KeysValues:
        recipes = (plan.negatives, plan.images, plan.compositions)
        key = (adapter.identity, encoder.identity, *self._precision, self.host.unconditional(), recipes)
        found = self._keys_values.find(key)
        return found or self._keys_values.keep(key, self._compute(adapter, encoder, plan, saved))

    def _compute(
        self, adapter: AdapterFile, encoder: EncoderFile, plan: Plan, saved: SavedReference | None
    ) -> KeysValues:
        layout, tensors = refuse_unsound(adapter), usable_tensors(adapter)
        takes = adapter.recognised.family.takes
        encoded = {shot: features.of(takes) for shot, features in self._encode(encoder, plan).items()}
        if saved:
            encoded |= zip(plan.images.shots, saved.features(takes).split(1), strict=True)
        empty = encoded[EMPTY_SHOT]
        nothing = torch.zeros_like(empty) if takes == EMBED else empty
        tokens_of = partial(_tokens_of, adapter, tensors, encoded)
        sets = [tokens_of(plan.negatives) if plan.negatives.shots else project(adapter, tensors, nothing)]
        sets += [tokens_of(recipe) for recipe in (plan.images, plan.compositions) if recipe.shots]
        return keys_and_values(tensors, layout, torch.cat(sets), self.host.compute_device())

    def _encode(self, encoder: EncoderFile, plan: Plan) -> dict[AnyShot, Features]:
        """Return the features of a plan's shots and of the empty picture; only what is new is encoded."""
        convention = self.host.unconditional()
        files = {file.digest: (field, file) for field, file in plan.files.items()}
        pixels = {EMPTY_SHOT: lambda: [UNCONDITIONAL[convention](encoder)]}
        for shot in (*plan.negatives.shots, *plan.images.shots, *plan.compositions.shots):
            if isinstance(shot, Shot):
                pixels[shot] = partial(_pixels, *files[shot.digest], encoder, shot)
        keys = {shot: (shot, convention, encoder.identity, *self._precision) for shot in pixels}
        features: dict[AnyShot, Features] = {}
        features |= {shot: found for shot, key in keys.items() if (found := self._features.find(key))}
        new = {shot: made() for shot, made in pixels.items() if shot not in features}
        encoded = iter(self._run(encoder, [square for squares in new.values() for square in squares]))
        for shot, squares in new.items():
            whole, *parts = itertools.islice(encoded, len(squares))
            mixed = enhanced(whole, parts, *shot.enhance) if shot.enhance else whole
            features[shot] = self._features.keep(keys[shot], mixed)
        return features

    def _run(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        """Encode on the host's device, or on the CPU where that is too full."""
        if not pixels:
            return []
        started = time.perf_counter()
        try:
            return self._encode_on_device(encoder, pixels)
        finally:
            self.encoding_seconds += time.perf_counter() - started

    def _encode_on_device(self, encoder: EncoderFile, pixels: Sequence[Tensor]) -> list[Features]:
        self.host.make_room(encoder.parameters * self.host.compute_dtype().itemsize)
        try:
            return encode(encoder, pixels, *self._precision)
        except torch.cuda.OutOfMemoryError:
            log.warning("%s did not fit on the device beside the checkpoint; encoding on the CPU.", encoder.path.name)
            return encode(encoder, pixels, torch.device("cpu"), torch.float32)


@contextmanager
def lasting() -> Generator[None, None, None]:
    """Make what is computed in the context outlive the mode that the host is in just now."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _tokens_of(
    adapter: AdapterFile, tensors: Mapping[str, Tensor], encoded: Mapping[AnyShot, Tensor], recipe: Recipe
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
        return f"{adapter.path.name} is for {found.base}; the loaded checkpoint has no U-Net that it could act on."
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


def _refuse_unsavable(unit: Unit) -> None:
    """Raise a `UnitError` where a unit has no references of its own, or some that could not be saved whole."""
    if not unit.images:
        raise UnitError("images", [], "is required: the pictures to save.")
    masked = next((f"images[{i}].mask" for i, picture in enumerate(unit.images) if picture.mask is not None), None)
    if masked:
        raise UnitError(
            masked, "a picture", "cannot be saved: a region belongs to a unit. Leave it out, and give the unit a mask."
        )


def _refuse_wrong_pair(unit: Unit, saved: SavedReference, adapter: AdapterFile, encoder: EncoderFile) -> None:
    """Raise a `UnitError` where a saved reference holds nothing that the adapter takes, or another encoder's."""
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


def _pixels(field: str, reference: Reference, encoder: EncoderFile, shot: Shot) -> list[Tensor]:
    """Return a shot's pixels, normalised, and those of its squares, if it has any.

    Noise is seeded by the picture, so that it is the same every time.
    """
    picture = decode(field, reference.content)
    if shot.tile:
        picture = cut(picture, shot.tile.source)
    levels = [to_levels(resize_for(picture, encoder.image_size, shot.crop))]
    if shot.noise:
        levels = [add_noise(*shot.noise, levels[0], seed=int(shot.digest[:15], 16))]
    if shot.enhance:
        count, _ = shot.enhance
        levels += squares_of(to_levels(resize_for(picture, count * encoder.image_size, shot.crop)), count)
    return [normalise(each) for each in levels]
