"""The messages that the gRPC services speak, against those of the stock client."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pool import Default
from tritonclient.grpc import service_pb2

from augserve_server.grpc_service.config_table import CONFIG
from augserve_server.grpc_service.inference_table import INFERENCE
from augserve_server.grpc_service.messages import messages


def theirs(name: str) -> Descriptor:
    found: Descriptor = Default().FindMessageTypeByName(f"inference.{name}")
    return found


def fields(message: Descriptor) -> dict[str, tuple[Any, ...]]:
    """All that the wire and a reader of the message know of its fields."""
    return {
        one.name: (
            one.number,
            one.type,
            one.is_repeated,
            one.has_presence,
            one.containing_oneof.name if one.containing_oneof else None,
            one.message_type.full_name if one.message_type else None,
            one.enum_type.full_name if one.enum_type else None,
        )
        for one in message.fields
    }


def nested(message: Descriptor) -> list[Descriptor]:
    return [message, *(inner for one in message.nested_types for inner in nested(one))]


def test_every_message_of_the_service_is_the_clients_field_by_field() -> None:
    ours = {one.full_name: fields(one) for name in INFERENCE.messages for one in nested(messages()[name].DESCRIPTOR)}
    stock = {
        one.full_name: fields(one)
        for message in service_pb2.DESCRIPTOR.message_types_by_name.values()
        for one in nested(message)
    }
    assert ours == stock


@pytest.mark.parametrize("name", CONFIG.messages)
def test_what_a_configuration_says_is_the_clients_field_by_field(name: str) -> None:
    ours, stock = messages()[name].DESCRIPTOR, theirs(name)
    all_of_it = fields(stock)
    assert fields(ours) == {field: all_of_it[field] for field in fields(ours)}
    assert ours.GetOptions().map_entry == stock.GetOptions().map_entry


@pytest.mark.parametrize("name", CONFIG.enums)
def test_enums_are_the_clients(name: str) -> None:
    stock: EnumDescriptor = Default().FindEnumTypeByName(f"inference.{name}")
    assert {value.name: value.number for value in stock.values} == {
        value: number for number, value in enumerate(CONFIG.enums[name])
    }


@pytest.mark.parametrize(
    "imports",
    [
        "import tritonclient.grpc; messages()",
        "messages(); import tritonclient.grpc",
    ],
)
def test_the_stock_client_is_imported_in_the_same_process_before_and_after(imports: str) -> None:
    code = f"from augserve_server.grpc_service.messages import messages\n{imports}\nprint('both')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "both\n", ran.stderr


def test_a_message_of_the_client_is_read_as_it_was_written() -> None:
    theirs = service_pb2.ModelInferRequest(model_name="thumbnail", raw_input_contents=[b"\xff\x00"])
    theirs.parameters["seed"].int64_param = 7
    theirs.inputs.add(name="IMAGE", datatype="BYTES", shape=[1]).parameters["x"].double_param = 0.5
    ours = messages()["ModelInferRequest"].FromString(theirs.SerializeToString())
    assert ours.parameters["seed"].WhichOneof("parameter_choice") == "int64_param"
    assert ours.inputs[0].parameters["x"].double_param == 0.5
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
