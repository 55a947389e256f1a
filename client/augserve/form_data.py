"""Bodies of requests that are no tensors: one image as it is, or multipart/form-data."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from augserve.inputs import Source
from augserve.parcels import Parcel


def write_body(parcels: Sequence[Parcel]) -> tuple[bytes, str]:
    """The body and its content type; reads what is a path, and raises OSError where it cannot be read.

    Parts are ``image[0]``, ``boxes[0]``, ``record[0]``, ``image[1]``...
    """
    if len(parcels) == 1 and parcels[0].is_image:
        source = parcels[0].parts[0][1]
        return b"".join(source.read()), source.media_type
    boundary = f"augserve-{secrets.token_hex(16)}"
    chunks: list[bytes | memoryview] = []
    for i, (name, source) in enumerate(_parts(parcels)):
        disposition = f'form-data; name="{name}"; filename="{i}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {source.media_type}\r\n\r\n"
        chunks += [head.encode(), *source.read(), b"\r\n"]
    return b"".join([*chunks, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _parts(parcels: Sequence[Parcel]) -> Iterator[tuple[str, Source]]:
    for i, parcel in enumerate(parcels):
        for name, source in parcel.parts:
            yield f"{name}[{i}]", source
