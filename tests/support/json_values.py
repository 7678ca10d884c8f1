"""Any JSON value, for property tests."""

from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=8,
)
