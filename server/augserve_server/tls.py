"""TLS: the server's certificate, and where they are asked for, the roots of its clients' certificates."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from augserve_server.errors import InvalidSettings
from augserve_server.settings import Settings

if TYPE_CHECKING:
    import grpc  # which whoever serves HTTP alone need not wait for


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the settings say, TLS 1.2 at least; None for plain HTTP. Raises InvalidSettings for files that do not do."""
    if settings.tls_certificate is None:
        for name in ("tls_key", "tls_client_ca"):
            if getattr(settings, name) is not None:
                raise InvalidSettings([f"{name} is set, and tls_certificate is not: nothing would be encrypted"])
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_certificate(context, settings.tls_certificate, settings.tls_key)
    if settings.tls_client_ca is not None:
        _load_roots(context, settings.tls_client_ca)
    return context


def grpc_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """The same for a gRPC port; None where it is to be insecure. Raises InvalidSettings for files that do not do."""
    if tls_context(settings) is None or settings.tls_certificate is None:
        return None
    import grpc

    certificate = settings.tls_certificate.read_bytes()
    key = (settings.tls_key or settings.tls_certificate).read_bytes()
    roots = None if settings.tls_client_ca is None else settings.tls_client_ca.read_bytes()
    return grpc.ssl_server_credentials([(key, certificate)], roots, require_client_auth=roots is not None)


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    _check_readable("tls_certificate", certificate)
    if key is not None:
        _check_readable("tls_key", key)
    where = f"tls_certificate {str(certificate)!r} and its key {str(key or certificate)!r}"
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as exc:
        raise InvalidSettings([f"{where}: {_reason(exc)}"]) from exc
    except _Encrypted:
        raise InvalidSettings(
            [f"{where}: the key is encrypted; it must be in the clear, for this server alone"]
        ) from None


def _load_roots(context: ssl.SSLContext, roots: Path) -> None:
    _check_readable("tls_client_ca", roots)
    try:
        context.load_verify_locations(roots)
    except ssl.SSLError as exc:
        raise InvalidSettings([f"tls_client_ca {str(roots)!r}: {_reason(exc)}"]) from exc
    context.verify_mode = ssl.CERT_REQUIRED


def _check_readable(name: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as exc:
        raise InvalidSettings([f"{name} {str(path)!r}: {exc.strerror}"]) from exc


def _reason(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"is no PEM file of that ({error.reason or 'it cannot be read'})"


class _Encrypted(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> bytes:
    """Without this, OpenSSL would ask on the terminal."""
    raise _Encrypted
