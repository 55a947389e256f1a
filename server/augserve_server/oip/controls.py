"""The settings of log and trace, as documents of the protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from augserve_server.errors import NotSupported, ParameterInvalid, ParameterUnknown

LEVELS: Final = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
"""What is logged where each of these is true; each includes the ones after it."""
VERBOSE: Final = "log_verbose_level"
FIXED: Final = {"log_file": "", "log_format": "ISO8601"}
"""What cannot be changed while the server runs: the log is on standard error, times are ISO 8601."""


def log_document() -> dict[str, Any]:
    """What is logged now."""
    level = logging.root.level
    flags = {name: level <= least for name, least in LEVELS.items()}
    return {**FIXED, **flags, VERBOSE: int(level <= logging.DEBUG)}


def change_log(given: Mapping[str, Any]) -> None:
    """Log more or less. Raises ParameterUnknown or ParameterInvalid, and then changes nothing."""
    wanted = {**log_document()}
    for name, value in given.items():
        _check(name, value)
        wanted[name] = value
    logging.root.setLevel(_level(wanted))


def trace_document() -> dict[str, Any]:
    """No requests are traced by this protocol's means."""
    return {
        "trace_level": ["OFF"],
        "trace_rate": "0",
        "trace_count": "0",
        "log_frequency": "0",
        "trace_file": "",
        "trace_mode": "triton",
    }


def change_trace(given: Mapping[str, Any]) -> None:
    """Raises NotSupported where anything is to be changed."""
    now = trace_document()
    for name, value in given.items():
        if name not in now:
            raise ParameterUnknown(name, [*now])
        if value is not None and value != now[name]:
            raise NotSupported(f"{name} cannot be changed: requests are not traced by this protocol", field=name)


def _check(name: str, value: object) -> None:
    if name in LEVELS and isinstance(value, bool):
        return
    if name == VERBOSE and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return
    if name in FIXED and value == FIXED[name]:
        return
    allowed = {**dict.fromkeys(LEVELS, "true or false"), VERBOSE: "an integer, 0 or more"}
    allowed |= {key: f"{fixed!r}, which cannot be changed while the server runs" for key, fixed in FIXED.items()}
    if name not in allowed:
        raise ParameterUnknown(name, [*allowed])
    raise ParameterInvalid(name, value, allowed[name])


def _level(wanted: Mapping[str, Any]) -> int:
    """The least severe of what is wanted. Raises ParameterInvalid where something more severe is not wanted."""
    flags = [bool(wanted[VERBOSE]), *(wanted[name] for name in LEVELS)]
    names = [VERBOSE, *LEVELS]
    first = flags.index(True) if True in flags else len(flags)
    if not all(flags[first:]):
        left = names[first + flags[first:].index(False)]
        raise ParameterInvalid(left, wanted[left], f"true where {names[first]} is: levels include those above them")
    return [logging.DEBUG, *LEVELS.values(), logging.CRITICAL][first]
