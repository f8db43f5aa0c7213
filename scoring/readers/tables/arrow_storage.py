"""Reduces Arrow's types to numbers, bools, text, bytes, lists and structs."""

import pyarrow as pa
import pyarrow.compute as pc


def storage(kind: pa.DataType) -> pa.DataType:
    """The plain type of the values of a dictionary, extension, run-end encoded, view or decimal type."""
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    if isinstance(kind, pa.FixedShapeTensorType) and list(kind.permutation or ()) != sorted(kind.permutation or ()):
        return kind  # its values are stored in another order
    if isinstance(kind, pa.BaseExtensionType):
        return storage(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return storage(kind.value_type)
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(kind.value_type)
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.float64() if pa.types.is_decimal(kind) else kind


def stored(column: pa.Array) -> pa.Array:
    """The same values in a column of the type `storage(column.type)`."""
    if isinstance(column, pa.ExtensionArray):
        column = stored(column.storage)
    elif pa.types.is_dictionary(column.type):
        column = stored(column.dictionary_decode())
    elif pa.types.is_run_end_encoded(column.type):
        column = stored(pc.run_end_decode(column))
    kind = storage(column.type)
    return column if kind == column.type else column.cast(kind)
