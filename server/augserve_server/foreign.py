"""Where a decoder that is not ours runs: whatever it raises becomes an error of one image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from augserve_server.errors import ImageCorrupt, ImageTruncated, ServiceError


@contextmanager
def foreign_errors(format: str) -> Iterator[None]:
    """Raise ``ImageTruncated`` or ``ImageCorrupt`` for what Pillow raises on a bad file; its own text is the cause."""
    try:
        yield
    except (ServiceError, MemoryError):
        raise
    except Exception as exc:  # a bad file can make Pillow's Python readers raise anything
        error = ImageTruncated if "truncated" in str(exc).lower() else ImageCorrupt
        raise error(format) from exc
