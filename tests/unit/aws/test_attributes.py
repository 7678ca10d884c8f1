"""DynamoDB's attribute values, compared with boto3's."""

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.storage.table import marshal, unmarshal

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_an_item_is_written_like_boto3_does_and_read_back_unchanged(item: dict[str, object]) -> None:
    attributes = marshal(item)

    assert attributes == {name: TypeSerializer().serialize(value) for name, value in item.items()}
    assert unmarshal(attributes) == item
    assert {name: TypeDeserializer().deserialize(value) for name, value in attributes.items()} == item


@pytest.mark.parametrize("value", [1.5, b"bytes", {"a", "set"}])
def test_a_value_of_an_unsupported_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        marshal({"name": value})
