"""The Open Inference Protocol, version 2: its tensors, and the bodies that carry them over HTTP."""

from __future__ import annotations

from augserve.wire.oip.binary import (
    BINARY_DATA,
    BINARY_OUTPUT,
    HEAD_LENGTH_HEADER,
    Message,
    read_head_length,
    read_request,
    read_response,
    wants_binary,
    write_request,
    write_response,
)
from augserve.wire.oip.datatypes import BINARY_ONLY, BYTES, NAMES, NUMPY, OF_DTYPE, check_datatype, size_of
from augserve.wire.oip.elements import read_elements, read_strings, write_strings
from augserve.wire.oip.heads import HeadLimits, check_parameter
from augserve.wire.oip.heads import parse as read_object
from augserve.wire.oip.tensors import (
    REGION_KEYS,
    InferRequest,
    InferResponse,
    OutputTensor,
    Parameters,
    Region,
    RequestedOutput,
    Scalar,
    Tensor,
    region_of,
)

__all__ = [
    "BINARY_DATA",
    "BINARY_ONLY",
    "BINARY_OUTPUT",
    "BYTES",
    "HEAD_LENGTH_HEADER",
    "NAMES",
    "NUMPY",
    "OF_DTYPE",
    "REGION_KEYS",
    "HeadLimits",
    "InferRequest",
    "InferResponse",
    "Message",
    "OutputTensor",
    "Parameters",
    "Region",
    "RequestedOutput",
    "Scalar",
    "Tensor",
    "check_datatype",
    "check_parameter",
    "read_elements",
    "read_head_length",
    "read_object",
    "read_request",
    "read_response",
    "read_strings",
    "region_of",
    "size_of",
    "wants_binary",
    "write_request",
    "write_response",
    "write_strings",
]
