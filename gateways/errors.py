"""What can go wrong on the wires to the outside.

    GatewayError
    ├── BadSettings            a certificate, key or address of ours cannot be used; someone must act
    ├── NotLeft                certain: the last byte never left us; worth another try
    ├── MayHaveLeft            the last byte was handed over and no 200 came back; never tried again by itself
    ├── MailboxUnavailable     the mail server is out of reach or broke off; worth another try
    ├── MailboxRefused         the mail server refuses the login or the folder; someone must act
    ├── ScanUnavailable        the antivirus gave no verdict; worth another try
    └── ScanTooLarge           the file is over the antivirus's own limit (StreamMaxLength); someone must act

No message carries an address, a path or what a server said: these errors are shown to people of any body.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a transmission has no 200; the key of its sentences in ``gateways/messages.toml``."""

    NAME_UNKNOWN = "nom_introuvable"
    UNREACHABLE = "serveur_injoignable"
    TLS_REFUSED = "tls_refuse"
    CUT_WHILE_SENDING = "coupe_pendant_envoi"
    EARLY_ANSWER = "reponse_avant_la_fin"
    SOURCE_FAILED = "archive_illisible"
    NO_ANSWER = "sans_reponse"
    UNEXPECTED_STATUS = "statut_inattendu"


class GatewayError(Exception):
    """Root of the errors of `gateways`."""


class BadSettings(GatewayError):
    """What we were configured with cannot be used."""


class TransmissionFailed(GatewayError):
    """A transmission that brought no HTTP 200."""

    def __init__(self, reason: Reason, status: int | None = None) -> None:
        self.reason = reason
        self.status = status
        """The HTTP status where one was read."""
        super().__init__(reason.value if status is None else f"{reason.value} ({status})")


class NotLeft(TransmissionFailed):
    """The last byte of the archive did not leave: it may be sent again."""


class MayHaveLeft(TransmissionFailed):
    """The last byte of the archive left: it may have been received, whatever came back."""


class MailboxUnavailable(GatewayError):
    """The mail server cannot be reached, or broke off."""


class MailboxRefused(GatewayError):
    """The mail server refuses the login, the folder or a command."""


class ScanUnavailable(GatewayError):
    """The antivirus gave no verdict."""


class ScanTooLarge(GatewayError):
    """The antivirus refuses a file of this size."""
