"""The cookie of a browser that has logged in."""

from starlette.datastructures import Headers

from hairpin.api.logins import LIFE


def name(host: str) -> str:
    """Browsers tell no port of a host from another, so the name does: two servers on one machine share no login."""
    port = host.rpartition(":")[2]
    return f"hairpin-{port}" if port.isdecimal() else "hairpin"


def read(headers: Headers) -> str | None:
    """The value that came with a request, if there is exactly one."""
    wanted = name(headers.get("host", ""))
    pairs = (pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
    values = [value for key, _, value in pairs if key == wanted]
    return values[0] if len(values) == 1 else None


def given(headers: Headers, value: str) -> dict[str, str]:
    """The header that hands it to the browser which sent `headers`: out of reach for scripts and other sites."""
    return {"set-cookie": f"{name(headers.get('host', ''))}={value}; Max-Age={LIFE}{_attributes(headers)}"}


def taken(headers: Headers) -> dict[str, str]:
    """The header that takes it away."""
    return {"set-cookie": f"{name(headers.get('host', ''))}=; Max-Age=0{_attributes(headers)}"}


def _attributes(headers: Headers) -> str:
    """`Secure` where the browser came by https, which its Origin says also behind a proxy that ends TLS."""
    secure = "; Secure" if headers.get("origin", "").startswith("https://") else ""
    return f"; Path=/; HttpOnly; SameSite=Strict{secure}"
