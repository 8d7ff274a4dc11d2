"""What differs now from the parameters of a pasted picture, though its unit could be restored."""

from collections.abc import Callable, Mapping

from ..base.errors import IPAdapterError
from ..base.file_names import refuse_changed, without_hash
from ..base.version import VERSION as OWN_VERSION
from ..engine.session import Session
from ..unit.infotext import ADAPTER, ENCODER_USED, UNCONDITIONAL, VERSION
from ..unit.unit import FIELDS


def difference(session: Session, label: str, value: str) -> str:
    """Return a sentence on what differs now from what a label's value says, or nothing."""
    return DIFFERENCES[label](session, value)


def _adapter(session: Session, value: str) -> str:
    """Parameters of older versions have no hash of the adapter; they say nothing of its state."""
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
        return f"The picture was made with the image encoder {value}, which is not among the files now."
    return ""


def _unconditional(session: Session, value: str) -> str:
    now = session.host.unconditional()
    if value == now:
        return ""
    return (
        f'The picture was made with "{value}" as what the negative prompt sees, and the setting is "{now}" now: change '
        "it in Settings, IP-Adapter."
    )


def _version(_session: Session, value: str) -> str:
    same = value == OWN_VERSION
    return "" if same else f"The picture was made with version {value} of IP-Adapter, and this is {OWN_VERSION}."


DIFFERENCES: Mapping[str, Callable[[Session, str], str]] = {
    ADAPTER: _adapter,
    FIELDS["subject"].label: _subject,
    FIELDS["embeds"].label: _saved_reference,
    ENCODER_USED: _encoder,
    UNCONDITIONAL: _unconditional,
    VERSION: _version,
}
"""By each label that `restore.COMPARED` names."""
