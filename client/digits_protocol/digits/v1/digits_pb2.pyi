from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]
    MODEL_STATE_UNLOADED: _ClassVar[ModelState]
    MODEL_STATE_ON_DEMAND: _ClassVar[ModelState]
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_FAILED: ModelState
MODEL_STATE_UNLOADED: ModelState
MODEL_STATE_ON_DEMAND: ModelState

class ClassifyRequest(_message.Message):
    __slots__ = ("model", "version", "pixels", "encoded_images", "include_activations", "coverage", "reject_above")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    ENCODED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    REJECT_ABOVE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    pixels: bytes
    encoded_images: _containers.RepeatedScalarFieldContainer[bytes]
    include_activations: bool
    coverage: float
    reject_above: float
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., pixels: _Optional[bytes] = ..., encoded_images: _Optional[_Iterable[bytes]] = ..., include_activations: bool = ..., coverage: _Optional[float] = ..., reject_above: _Optional[float] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("predictions", "model", "timings")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    model: ModelIdentity
    timings: Timings
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("digit", "scores", "margin", "activations", "warnings", "candidates", "not_a_digit", "warning_codes", "rejected")
    DIGIT_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    NOT_A_DIGIT_FIELD_NUMBER: _ClassVar[int]
    WARNING_CODES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    digit: int
    scores: _containers.RepeatedScalarFieldContainer[float]
    margin: float
    activations: _containers.RepeatedCompositeFieldContainer[Layer]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    candidates: _containers.RepeatedScalarFieldContainer[int]
    not_a_digit: float
    warning_codes: _containers.RepeatedScalarFieldContainer[str]
    rejected: bool
    def __init__(self, digit: _Optional[int] = ..., scores: _Optional[_Iterable[float]] = ..., margin: _Optional[float] = ..., activations: _Optional[_Iterable[_Union[Layer, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., candidates: _Optional[_Iterable[int]] = ..., not_a_digit: _Optional[float] = ..., warning_codes: _Optional[_Iterable[str]] = ..., rejected: bool = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class ModelIdentity(_message.Message):
    __slots__ = ("name", "version", "sha256", "execution_provider", "variant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    sha256: str
    execution_provider: str
    variant: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., sha256: _Optional[str] = ..., execution_provider: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_us", "inference_us", "batch_rows")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_US_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    inference_us: int
    batch_rows: int
    def __init__(self, queue_us: _Optional[int] = ..., inference_us: _Optional[int] = ..., batch_rows: _Optional[int] = ...) -> None: ...

class ClassifyStreamRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: ClassifyRequest
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[ClassifyRequest, _Mapping]] = ...) -> None: ...

class ClassifyStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: ClassifyResponse
    error: _status_pb2.Status
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[ClassifyResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("model", "version", "encoded_image", "coverage", "reject_above")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENCODED_IMAGE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    REJECT_ABOVE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    encoded_image: bytes
    coverage: float
    reject_above: float
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., encoded_image: _Optional[bytes] = ..., coverage: _Optional[float] = ..., reject_above: _Optional[float] = ...) -> None: ...

class ReadResponse(_message.Message):
    __slots__ = ("lines", "text", "score", "width", "height", "quarter_turns", "warnings", "warning_codes", "model", "timings")
    LINES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUARTER_TURNS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    WARNING_CODES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[ReadLine]
    text: str
    score: float
    width: int
    height: int
    quarter_turns: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    warning_codes: _containers.RepeatedScalarFieldContainer[str]
    model: ModelIdentity
    timings: Timings
    def __init__(self, lines: _Optional[_Iterable[_Union[ReadLine, _Mapping]]] = ..., text: _Optional[str] = ..., score: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., quarter_turns: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., warning_codes: _Optional[_Iterable[str]] = ..., model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class ReadLine(_message.Message):
    __slots__ = ("text", "score", "digits", "columns")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    text: str
    score: float
    digits: _containers.RepeatedCompositeFieldContainer[ReadDigit]
    columns: int
    def __init__(self, text: _Optional[str] = ..., score: _Optional[float] = ..., digits: _Optional[_Iterable[_Union[ReadDigit, _Mapping]]] = ..., columns: _Optional[int] = ...) -> None: ...

class ReadDigit(_message.Message):
    __slots__ = ("box", "prediction", "field")
    BOX_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    box: Box
    prediction: Prediction
    field: GridField
    def __init__(self, box: _Optional[_Union[Box, _Mapping]] = ..., prediction: _Optional[_Union[Prediction, _Mapping]] = ..., field: _Optional[_Union[GridField, _Mapping]] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "width", "height")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    width: int
    height: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class GridField(_message.Message):
    __slots__ = ("row", "column")
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    row: int
    column: int
    def __init__(self, row: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "default_model", "max_rows", "max_message_bytes")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    default_model: str
    max_rows: int
    max_message_bytes: int
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., default_model: _Optional[str] = ..., max_rows: _Optional[int] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "versions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    versions: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    def __init__(self, name: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("version", "state", "reason", "rows", "cols", "pixel_max", "classes", "has_snapshots")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_MAX_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    HAS_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    state: ModelState
    reason: str
    rows: int
    cols: int
    pixel_max: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    has_snapshots: bool
    def __init__(self, version: _Optional[str] = ..., state: _Optional[_Union[ModelState, str]] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ..., cols: _Optional[int] = ..., pixel_max: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., has_snapshots: bool = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "card")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    model: ModelIdentity
    card: Card
    def __init__(self, model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., card: _Optional[_Union[Card, _Mapping]] = ...) -> None: ...

class Card(_message.Message):
    __slots__ = ("rows", "cols", "pixel_max", "classes", "labels", "layer_widths", "activation", "output_activation", "members", "parameters", "pixel_scale", "pixel_offset", "preparation", "recipe_json", "seed", "dataset", "dataset_sha256", "test_rows", "accuracy", "confusion", "tolerance", "libraries", "temperature", "calibration_error", "reliability", "thresholds", "outlier_auc")
    class ToleranceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class LibrariesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OutlierAucEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_MAX_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LAYER_WIDTHS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_SCALE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_OFFSET_FIELD_NUMBER: _ClassVar[int]
    PREPARATION_FIELD_NUMBER: _ClassVar[int]
    RECIPE_JSON_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DATASET_SHA256_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    CONFUSION_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    LIBRARIES_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    RELIABILITY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    OUTLIER_AUC_FIELD_NUMBER: _ClassVar[int]
    rows: int
    cols: int
    pixel_max: int
    classes: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedScalarFieldContainer[int]
    layer_widths: _containers.RepeatedScalarFieldContainer[int]
    activation: str
    output_activation: str
    members: int
    parameters: int
    pixel_scale: float
    pixel_offset: float
    preparation: str
    recipe_json: str
    seed: int
    dataset: str
    dataset_sha256: str
    test_rows: int
    accuracy: float
    confusion: _containers.RepeatedScalarFieldContainer[int]
    tolerance: _containers.ScalarMap[str, float]
    libraries: _containers.ScalarMap[str, str]
    temperature: float
    calibration_error: float
    reliability: _containers.RepeatedCompositeFieldContainer[ReliabilityBin]
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    outlier_auc: _containers.ScalarMap[str, float]
    def __init__(self, rows: _Optional[int] = ..., cols: _Optional[int] = ..., pixel_max: _Optional[int] = ..., classes: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[int]] = ..., layer_widths: _Optional[_Iterable[int]] = ..., activation: _Optional[str] = ..., output_activation: _Optional[str] = ..., members: _Optional[int] = ..., parameters: _Optional[int] = ..., pixel_scale: _Optional[float] = ..., pixel_offset: _Optional[float] = ..., preparation: _Optional[str] = ..., recipe_json: _Optional[str] = ..., seed: _Optional[int] = ..., dataset: _Optional[str] = ..., dataset_sha256: _Optional[str] = ..., test_rows: _Optional[int] = ..., accuracy: _Optional[float] = ..., confusion: _Optional[_Iterable[int]] = ..., tolerance: _Optional[_Mapping[str, float]] = ..., libraries: _Optional[_Mapping[str, str]] = ..., temperature: _Optional[float] = ..., calibration_error: _Optional[float] = ..., reliability: _Optional[_Iterable[_Union[ReliabilityBin, _Mapping]]] = ..., thresholds: _Optional[_Iterable[float]] = ..., outlier_auc: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ReliabilityBin(_message.Message):
    __slots__ = ("images", "mean_score", "accuracy")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    MEAN_SCORE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    images: int
    mean_score: float
    accuracy: float
    def __init__(self, images: _Optional[int] = ..., mean_score: _Optional[float] = ..., accuracy: _Optional[float] = ...) -> None: ...

class GetNetworkRequest(_message.Message):
    __slots__ = ("model", "version", "member", "layer")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    member: int
    layer: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., member: _Optional[int] = ..., layer: _Optional[int] = ...) -> None: ...

class GetNetworkResponse(_message.Message):
    __slots__ = ("model", "layer_widths", "layers")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LAYER_WIDTHS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    model: ModelIdentity
    layer_widths: _containers.RepeatedScalarFieldContainer[int]
    layers: _containers.RepeatedCompositeFieldContainer[NetworkLayer]
    def __init__(self, model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., layer_widths: _Optional[_Iterable[int]] = ..., layers: _Optional[_Iterable[_Union[NetworkLayer, _Mapping]]] = ...) -> None: ...

class NetworkLayer(_message.Message):
    __slots__ = ("layer", "activation", "inputs", "neurons", "weights", "biases")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    NEURONS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    layer: int
    activation: str
    inputs: int
    neurons: int
    weights: _containers.RepeatedScalarFieldContainer[float]
    biases: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, layer: _Optional[int] = ..., activation: _Optional[str] = ..., inputs: _Optional[int] = ..., neurons: _Optional[int] = ..., weights: _Optional[_Iterable[float]] = ..., biases: _Optional[_Iterable[float]] = ...) -> None: ...

class GetLearningRequest(_message.Message):
    __slots__ = ("model", "version", "layer")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    layer: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., layer: _Optional[int] = ...) -> None: ...

class GetLearningResponse(_message.Message):
    __slots__ = ("model", "layer_widths", "activation", "temperature", "epochs", "losses", "validation_losses", "validation_accuracies", "weights", "biases")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LAYER_WIDTHS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSSES_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ACCURACIES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    model: ModelIdentity
    layer_widths: _containers.RepeatedScalarFieldContainer[int]
    activation: str
    temperature: float
    epochs: _containers.RepeatedScalarFieldContainer[int]
    losses: _containers.RepeatedScalarFieldContainer[float]
    validation_losses: _containers.RepeatedScalarFieldContainer[float]
    validation_accuracies: _containers.RepeatedScalarFieldContainer[float]
    weights: bytes
    biases: bytes
    def __init__(self, model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., layer_widths: _Optional[_Iterable[int]] = ..., activation: _Optional[str] = ..., temperature: _Optional[float] = ..., epochs: _Optional[_Iterable[int]] = ..., losses: _Optional[_Iterable[float]] = ..., validation_losses: _Optional[_Iterable[float]] = ..., validation_accuracies: _Optional[_Iterable[float]] = ..., weights: _Optional[bytes] = ..., biases: _Optional[bytes] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("model", "version", "pixels", "encoded_image", "explained_class", "changed_class", "find_change")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    ENCODED_IMAGE_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_CLASS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_CLASS_FIELD_NUMBER: _ClassVar[int]
    FIND_CHANGE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    pixels: bytes
    encoded_image: bytes
    explained_class: int
    changed_class: int
    find_change: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., pixels: _Optional[bytes] = ..., encoded_image: _Optional[bytes] = ..., explained_class: _Optional[int] = ..., changed_class: _Optional[int] = ..., find_change: bool = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("model", "pixels", "prediction", "explained_class", "members", "change", "timings")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_CLASS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    model: ModelIdentity
    pixels: bytes
    prediction: Prediction
    explained_class: int
    members: _containers.RepeatedCompositeFieldContainer[Explanation]
    change: Change
    timings: Timings
    def __init__(self, model: _Optional[_Union[ModelIdentity, _Mapping]] = ..., pixels: _Optional[bytes] = ..., prediction: _Optional[_Union[Prediction, _Mapping]] = ..., explained_class: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ..., change: _Optional[_Union[Change, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("logit", "exact", "layers")
    LOGIT_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    logit: float
    exact: bool
    layers: _containers.RepeatedCompositeFieldContainer[LayerContributions]
    def __init__(self, logit: _Optional[float] = ..., exact: bool = ..., layers: _Optional[_Iterable[_Union[LayerContributions, _Mapping]]] = ...) -> None: ...

class LayerContributions(_message.Message):
    __slots__ = ("name", "contributions", "rest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    name: str
    contributions: _containers.RepeatedScalarFieldContainer[float]
    rest: float
    def __init__(self, name: _Optional[str] = ..., contributions: _Optional[_Iterable[float]] = ..., rest: _Optional[float] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("pixels", "prediction", "changed_pixels")
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    pixels: bytes
    prediction: Prediction
    changed_pixels: int
    def __init__(self, pixels: _Optional[bytes] = ..., prediction: _Optional[_Union[Prediction, _Mapping]] = ..., changed_pixels: _Optional[int] = ...) -> None: ...
