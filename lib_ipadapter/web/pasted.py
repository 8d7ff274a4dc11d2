"""What has changed since the infotext of a restored unit was written."""

from collections.abc import Callable, Mapping

from ..base.errors import IPAdapterError
from ..base.file_names import refuse_changed, without_hash
from ..base.version import VERSION as OWN_VERSION
from ..engine.session import Session
from ..unit.infotext import ADAPTER, ENCODER_USED, UNCONDITIONAL, VERSION
from ..unit.unit import FIELDS


def difference(session: Session, label: str, value: str) -> str:
    """Return a sentence on how the current state differs from an infotext value, or ""."""
    return DIFFERENCES[label](session, value)


def _adapter(session: Session, value: str) -> str:
    """Infotext of older versions has no hash of the adapter, so nothing can be compared."""
    if without_hash(value) == value:
        return ""
    try:
        adapter = session.preparation.files.adapter(value)
        refuse_changed("model", value, adapter.path.name, adapter.digest)
    except IPAdapterError as error:
        return error.sentence
    return ""


def _subject(session: Session, value: str) -> str:
    return session.preparation.files.fault_of("subject", value)


def _saved_reference(session: Session, value: str) -> str:
    return session.preparation.files.fault_of("embeds", value)


def _encoder(session: Session, value: str) -> str:
    try:
        session.preparation.files.check_encoder(value)
    except IPAdapterError:
        return f"The picture was made with the image encoder {value}, which was not found."
    return ""


def _unconditional(session: Session, value: str) -> str:
    now = session.host.unconditional()
    if value == now:
        return ""
    return (
        f'The picture was made with the image "{value}" for the negative prompt, but the setting is now "{now}": '
        "change it in Settings, IP-Adapter."
    )


def _version(_session: Session, value: str) -> str:
    same = value == OWN_VERSION
    return "" if same else f"The picture was made with version {value} of IP-Adapter; this is version {OWN_VERSION}."


DIFFERENCES: Mapping[str, Callable[[Session, str], str]] = {
    ADAPTER: _adapter,
    FIELDS["subject"].label: _subject,
    FIELDS["embeds"].label: _saved_reference,
    ENCODER_USED: _encoder,
    UNCONDITIONAL: _unconditional,
    VERSION: _version,
}
"""A function for each label in `restore.COMPARED`."""
