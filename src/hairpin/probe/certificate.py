"""What a server's certificate says, and whether a client that asks for this name would believe it."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from hairpin.turnclient.failure import plain

DAY = timedelta(days=1)
SOON = 14  # days
MOST_NAMES = 16
OF_TIME = {9, 10}  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED
MALFORMED = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
CHAIN = "comes with a chain in which another certificate is out of its time: send a new one"
ISSUER = "is of an issuer that this machine does not know: send the whole chain, from an authority that clients trust"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The server's own one, without its chain."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime

    def days_left(self, now: datetime) -> int:
        """Whole days until its end; 0 on the last day, fewer where that is past."""
        return (self.ends - now) // DAY

    def time_problem(self, now: datetime) -> str | None:
        """What is wrong with its dates."""
        if now >= self.ends:
            return f"expired on {self.ends:%Y-%m-%d}, {days((now - self.ends) // DAY)} ago: renew it"
        if now < self.begins:
            return f"is not valid before {self.begins:%Y-%m-%d %H:%M} UTC: compare the clocks"
        return None


def read(der: bytes) -> Certificate:
    """Parse what a server has shown; ValueError where it is malformed."""
    return _certificate(x509.load_der_x509_certificate(der))


def read_pem(pem: bytes) -> Certificate:
    """Parse the first one of a chain; ValueError where it is malformed."""
    return _certificate(x509.load_pem_x509_certificate(pem))


def _certificate(parsed: x509.Certificate) -> Certificate:
    try:
        names, issuer = _names(parsed)[:MOST_NAMES], _common_name(parsed.issuer) or parsed.issuer.rfc4514_string()
    except MALFORMED as error:
        raise ValueError(str(error)) from None
    return Certificate(tuple(map(plain, names)), plain(issuer), parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def unverified() -> ssl.SSLContext:
    """Takes any certificate, to look at it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def of_known_issuers() -> ssl.SSLContext:
    """Takes what this machine trusts, whatever its name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def of_its_name(der: bytes) -> ssl.SSLContext:
    """Takes this one certificate, where its name is the one that was asked for."""
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def is_about_time(error: ssl.SSLCertVerificationError) -> bool:
    """Whether the dates alone made OpenSSL refuse it."""
    return error.verify_code in OF_TIME


def days(count: int) -> str:
    """So many days, in words."""
    return f"{count} day{'s' * (count != 1)}"


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def _names(parsed: x509.Certificate) -> list[str]:
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [_common_name(parsed.subject)]
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
