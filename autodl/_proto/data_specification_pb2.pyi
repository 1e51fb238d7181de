from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MatrixSpec(_message.Message):
    __slots__ = ("col_count", "row_count", "is_sequence_col", "is_sequence_row", "has_locality_col", "has_locality_row", "is_sparse", "format", "num_channels")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DENSE: _ClassVar[MatrixSpec.Format]
        SPARSE: _ClassVar[MatrixSpec.Format]
        COMPRESSED: _ClassVar[MatrixSpec.Format]
    DENSE: MatrixSpec.Format
    SPARSE: MatrixSpec.Format
    COMPRESSED: MatrixSpec.Format
    COL_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_SEQUENCE_COL_FIELD_NUMBER: _ClassVar[int]
    IS_SEQUENCE_ROW_FIELD_NUMBER: _ClassVar[int]
    HAS_LOCALITY_COL_FIELD_NUMBER: _ClassVar[int]
    HAS_LOCALITY_ROW_FIELD_NUMBER: _ClassVar[int]
    IS_SPARSE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NUM_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    col_count: int
    row_count: int
    is_sequence_col: bool
    is_sequence_row: bool
    has_locality_col: bool
    has_locality_row: bool
    is_sparse: bool
    format: MatrixSpec.Format
    num_channels: int
    def __init__(self, col_count: _Optional[int] = ..., row_count: _Optional[int] = ..., is_sequence_col: bool = ..., is_sequence_row: bool = ..., has_locality_col: bool = ..., has_locality_row: bool = ..., is_sparse: bool = ..., format: _Optional[_Union[MatrixSpec.Format, str]] = ..., num_channels: _Optional[int] = ...) -> None: ...

class DataSpecification(_message.Message):
    __slots__ = ("matrix_spec", "is_sequence", "output_dim", "label_to_index_map", "feature_to_index_map", "channel_to_index_map", "sequence_size", "sample_count")
    class LabelToIndexMapEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class FeatureToIndexMapEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ChannelToIndexMapEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MATRIX_SPEC_FIELD_NUMBER: _ClassVar[int]
    IS_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIM_FIELD_NUMBER: _ClassVar[int]
    LABEL_TO_INDEX_MAP_FIELD_NUMBER: _ClassVar[int]
    FEATURE_TO_INDEX_MAP_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_TO_INDEX_MAP_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    matrix_spec: _containers.RepeatedCompositeFieldContainer[MatrixSpec]
    is_sequence: bool
    output_dim: int
    label_to_index_map: _containers.ScalarMap[str, int]
    feature_to_index_map: _containers.ScalarMap[str, int]
    channel_to_index_map: _containers.ScalarMap[str, int]
    sequence_size: int
    sample_count: int
    def __init__(self, matrix_spec: _Optional[_Iterable[_Union[MatrixSpec, _Mapping]]] = ..., is_sequence: bool = ..., output_dim: _Optional[int] = ..., label_to_index_map: _Optional[_Mapping[str, int]] = ..., feature_to_index_map: _Optional[_Mapping[str, int]] = ..., channel_to_index_map: _Optional[_Mapping[str, int]] = ..., sequence_size: _Optional[int] = ..., sample_count: _Optional[int] = ...) -> None: ...
