"""What a picture's parameters say of the units that steered it, and the way back from there to a unit.

One line a unit: `Label: value, Label: value`, a value in quotes where it holds what would end it.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import UnitError
from ..base.file_names import HASH
from .controlnet import from_controlnet
from .fields import Mask, Picture, Pictures, Saved, read_crop
from .unit import FIELDS, Unit

DIGEST_LENGTH = 12
"""Hexadecimal digits of a picture's SHA-256 that are written: enough to find it again among millions."""

MODEL = FIELDS["model"].metadata["label"]
NAMES = {field.metadata["label"]: name for name, field in FIELDS.items()}
PICTURE = re.compile(r"(?P<image>[0-9a-f]+)(×(?P<weight>[-+.e0-9]+))?(@(?P<mask>[0-9a-f]+))?(/(?P<crop>[a-z]+))?")
"""One of several pictures as `_hash` writes it."""
CONTROLNET_KEY = re.compile(r"ControlNet(?: \d+)?")
STARTING_ENDING = re.compile(r"starting/ending: \(([\d.]+), ([\d.]+)\)", re.IGNORECASE)
LEGACY = {"preprocessor": "module"}
"""Labels in ControlNet's older parameters."""
UNIT_KEY = re.compile(r"IP-Adapter \d+")
OWN_KEY = re.compile(r"IP-Adapter \d+( likeness)?")
ENTRY = re.compile(r'\s*([^:,"]+): ("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def unit_key(number: int) -> str:
    """Return the name of a unit's entry in the parameters."""
    return f"IP-Adapter {number}"


def likeness_key(number: int) -> str:
    """Return the name of the entry on how alike a picture's faces are to a unit's references."""
    return f"{unit_key(number)} likeness"


def without_units(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without what an earlier generation with the same record left in them of units."""
    return {key: value for key, value in parameters.items() if not OWN_KEY.fullmatch(key)}


def describe(unit: Unit, file_name: str, digests: Mapping[str, str]) -> str:
    """Return a unit in one line: its adapter, its weight, what else differs from the defaults, its pictures' hashes."""
    settings = {MODEL: file_name}
    pictures: dict[str, str] = {}
    for name, field in FIELDS.items():
        value, kind, label = getattr(unit, field.name), field.metadata["kind"], field.metadata["label"]
        if name in ("model", "enabled") or (value == field.default and name != "weight"):
            continue
        if isinstance(kind, (Pictures, Mask)):
            pictures[label] = _hashes(name, value, digests)
        elif isinstance(kind, Saved):
            settings[label] = f"{HASH.sub('', value)} [{digests[name][:DIGEST_LENGTH]}]"
        else:
            settings[label] = f"{value:.12g}" if isinstance(value, float) else str(value)
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in (settings | pictures).items())


def _hashes(name: str, value: Any, digests: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return digests[name][:DIGEST_LENGTH]
    return " ".join(_hash(each, f"{name}[{i}]", digests) for i, each in enumerate(value) if each.weight)


def _hash(picture: Picture, field: str, digests: Mapping[str, str]) -> str:
    """Return a picture as its hash, its weight where that is not 1, and its region's hash and crop, if any."""
    weight = "" if picture.weight == 1.0 else f"×{picture.weight:.12g}"
    region = "" if picture.mask is None else f"@{digests[f'{field}.mask'][:DIGEST_LENGTH]}"
    crop = "" if picture.crop is None else f"/{picture.crop}"
    return digests[field][:DIGEST_LENGTH] + weight + region + crop


def _quoted(value: str) -> str:
    plain = value.strip() == value and not set(value) & set(',:"\n')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    """Return what `_quoted` was given; broken quotes stay as they are."""
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value


FindReference = Callable[[str], str | None]
"""Returns the picture whose hash begins with these digits, as a data URL, or None where it is not kept."""


FaultOf = Callable[[str, str], str]
"""Returns what is wrong, by a field and the name that it holds, with what the name stands for; or nothing."""


def no_fault(_field: str, _name: str) -> str:
    """Stand for a look at what names stand for, where there is nothing to look at."""
    return ""


def restored_units(
    parameters: Mapping[str, Any], find: FindReference, fault_of: FaultOf = no_fault
) -> dict[int, dict[str, Any]]:
    """Return the units that a picture's parameters tell of, by number, as the panel takes them.

    Those of ControlNet's IP-Adapter come after this extension's own.
    """
    own = {
        int(key.rsplit(" ", 1)[1]): restored(str(text), find, fault_of)
        for key, text in parameters.items()
        if UNIT_KEY.fullmatch(key)
    }
    theirs = [controlnets_unit(str(text)) for key, text in parameters.items() if CONTROLNET_KEY.fullmatch(key)]
    first = max(own, default=0) + 1
    return own | dict(enumerate(filter(None, theirs), first))


def restored(text: str, find: FindReference, fault_of: FaultOf = no_fault) -> dict[str, Any]:
    """Return the unit that a line describes, as JSON values, with a `note` on what could not be restored."""
    unit: dict[str, Any] = {}
    lost: list[str] = []
    faults: list[str] = []
    for label, quoted in ENTRY.findall(text):
        label, value = label.strip(), _unquoted(quoted.strip())
        name = NAMES.get(label)
        kind = FIELDS[name].metadata["kind"] if name else None
        try:
            if isinstance(kind, (Pictures, Mask)):
                unit |= _restored_pictures(NAMES[label], kind, value, find)
            elif name and kind:
                unit[name] = kind.read(name, kind.parse(value))
                faults += [fault_of(name, value)] if isinstance(kind, Saved) else []
            else:
                lost.append(f"{label} {value}")
        except LookupError as missing:
            lost.append(f"{label} {missing.args[0]} (reference missing)")
        except (UnitError, ValueError):
            lost.append(f"{label} {value}")
    told = [f"Not restored, choose again: {'; '.join(lost)}."] if lost else []
    note = " ".join([*told, *filter(None, faults)])
    return unit | ({"note": note} if note else {})


def _restored_pictures(name: str, kind: Pictures | Mask, value: str, find: FindReference) -> dict[str, Any]:
    """Return a field's pictures where all of them are kept; raises `LookupError` with the hashes of those that are not.

    All or none: a unit with some of its references makes another picture.
    """
    if isinstance(kind, Mask):
        return {name: _found(value, find)}
    pictures: list[dict[str, Any]] = []
    missing: list[str] = []
    for entry in value.split():
        parts = PICTURE.fullmatch(entry)
        if not parts:
            raise ValueError(entry)
        hashes = {"image": parts["image"], "mask": parts["mask"]}
        found = {part: find(digits) for part, digits in hashes.items() if digits}
        missing += [hashes[part] for part, url in found.items() if url is None]
        weight = {"weight": float(parts["weight"])} if parts["weight"] else {}
        crop = {"crop": read_crop(name, parts["crop"])} if parts["crop"] else {}
        pictures.append(found | weight | crop)
    if missing:
        raise LookupError(" ".join(missing))
    return {name: pictures}


def _found(digits: str, find: FindReference) -> str:
    url = find(digits)
    if url is None:
        raise LookupError(digits)
    return url


def controlnets_unit(text: str) -> dict[str, Any] | None:
    """Return the unit that a line of ControlNet's describes, or None where it is none of its IP-Adapter's.

    Source: Mikubill/sd-webui-controlnet, internal_controlnet/args.py, `serialize`, and older parameters of it.
    """
    text = STARTING_ENDING.sub(r"Guidance Start: \1, Guidance End: \2", text)
    entries = {label.strip().lower().replace(" ", "_"): value.strip() for label, value in ENTRY.findall(text)}
    given = {LEGACY.get(label, label): value for label, value in entries.items()}
    texts = {name: given[name] for name in ("model", "hr_option") if name in given}
    try:
        numbers = {name: float(given[name]) for name in ("weight", "guidance_start", "guidance_end") if name in given}
        unit = from_controlnet({"module": given.get("module", "none")} | texts | numbers)
        read = {name: FIELDS[name].metadata["kind"].read(name, value) for name, value in unit.items()}
    except (UnitError, ValueError):
        return None
    return read | {"note": "From ControlNet's parameters, which keep no pictures: choose the reference."}
