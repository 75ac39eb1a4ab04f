"""Command sets, against pynetdicom's own encoding."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as reference_decode
from pynetdicom.dsutils import encode as reference_encode

from app.receive.command import Command, ProtocolError, decode, pdus, store_response


def test_a_store_request_is_read() -> None:
    request = Dataset()
    request.CommandGroupLength = 0
    request.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    request.CommandField = 0x0001
    request.MessageID = 7
    request.Priority = 0
    request.CommandDataSetType = 0x0000
    request.AffectedSOPInstanceUID = "1.2.3"
    encoded = reference_encode(request, True, True)
    assert encoded is not None
    expected = Command(1, 7, has_data_set=True, sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.3")
    assert decode(encoded) == expected


def test_a_store_response_reads_as_one() -> None:
    request = Command(1, 7, has_data_set=True, sop_class_uid="1.2.840", sop_instance_uid="1.2.3")
    encoded = store_response(request, 0xA700, "x" * 80)
    response = reference_decode(BytesIO(encoded), True, True)
    assert {element.keyword: element.value for element in response} == {
        "CommandGroupLength": len(encoded) - 12,
        "AffectedSOPClassUID": "1.2.840",
        "CommandField": 0x8001,
        "MessageIDBeingRespondedTo": 7,
        "CommandDataSetType": 0x0101,
        "Status": 0xA700,
        "ErrorComment": "x" * 64,
        "AffectedSOPInstanceUID": "1.2.3",
    }


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_command_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except ProtocolError:
        return


@pytest.mark.parametrize("max_length", [0, 16, 100, 16384])
def test_a_response_is_cut_to_the_peers_size(max_length: int) -> None:
    command = bytes(range(200))
    encoded, found, controls = pdus(5, command, max_length), b"", []
    while encoded:
        length = int.from_bytes(encoded[2:6], "big")
        assert encoded[0] == 4
        assert max_length == 0 or length <= max_length
        assert int.from_bytes(encoded[6:10], "big") == length - 4
        assert encoded[10] == 5
        controls.append(encoded[11])
        found += encoded[12 : 6 + length]
        encoded = encoded[6 + length :]
    assert found == command
    assert controls == [1] * (len(controls) - 1) + [3]
