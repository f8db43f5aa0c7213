"""A version in the words of the Open Inference Protocol: its metadata, its configuration, its statistics."""

import json
from collections.abc import Iterable

from digits_protocol.inference import model_config_pb2 as config_pb
from digits_protocol.inference import model_statistics_pb2 as statistics_pb
from digits_protocol.inference import open_inference_pb2 as pb

from artifact.card import Card
from artifact.names import INPUT, LABEL, outputs
from engine.models.providers import CPU
from engine.models.version import Version
from engine.models.version_policy import Policy
from engine.statistics import Summary, Timer
from service.api.open_inference.outputs import WARNINGS

PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"


def dims(card: Card) -> dict[str, list[int]]:
    """The shape of the values of one image by output, in the order of the metadata, without `label`."""
    return {name: list(form.shape) for name, form in outputs(card).items() if name != LABEL}


def metadata(version: Version, ready: Iterable[Version]) -> pb.ModelMetadataResponse:
    """What a ready version takes and gives; `ready` are all versions of its model that are."""
    card = version.session.card
    tensor = pb.ModelMetadataResponse.TensorMetadata
    return pb.ModelMetadataResponse(
        name=version.name,
        versions=[each.version for each in ready],
        platform=PLATFORM,
        inputs=[tensor(name=INPUT, datatype="UINT8", shape=[-1, card.features])],
        outputs=[
            tensor(name=LABEL, datatype="INT64", shape=[-1]),
            *(tensor(name=name, datatype="FP32", shape=[-1, *each]) for name, each in dims(card).items()),
            tensor(name=WARNINGS, datatype="BYTES", shape=[-1]),
        ],
        properties=_properties(version),
    )


def _properties(version: Version) -> dict[str, str]:
    """What the card says, by the name of its field, what it runs on, and the SHA-256 of the file."""
    card = json.loads(version.session.card.to_json())
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for name, value in card.items()
        if value is not None
    }
    return texts | {"execution_provider": version.session.provider, "sha256": version.session.sha256}


def config(version: Version, policy: Policy, max_batch_rows: int) -> config_pb.ModelConfig:
    """How a ready version is served."""
    session = version.session
    group = config_pb.ModelInstanceGroup
    on_cpu = session.provider == CPU
    return config_pb.ModelConfig(
        name=version.name,
        platform=PLATFORM,
        backend=BACKEND,
        version_policy=_policy(policy),
        max_batch_size=max_batch_rows,
        input=[config_pb.ModelInput(name=INPUT, data_type=config_pb.TYPE_UINT8, dims=[session.card.features])],
        output=[
            config_pb.ModelOutput(name=LABEL, data_type=config_pb.TYPE_INT64),
            *(
                config_pb.ModelOutput(name=name, data_type=config_pb.TYPE_FP32, dims=each)
                for name, each in dims(session.card).items()
            ),
            config_pb.ModelOutput(name=WARNINGS, data_type=config_pb.TYPE_STRING),
        ],
        instance_group=[
            group(
                name=f"{version.name}_0",
                count=1,
                kind=group.KIND_CPU if on_cpu else group.KIND_GPU,
                gpus=[] if on_cpu else [0],
            )
        ],
        default_model_filename=version.folder.onnx.name,
        dynamic_batching=config_pb.ModelDynamicBatching(preserve_ordering=True),
        parameters={
            "execution_provider": config_pb.ModelParameter(string_value=session.provider),
            "sha256": config_pb.ModelParameter(string_value=session.sha256),
        },
        model_transaction_policy=config_pb.ModelTransactionPolicy(),
    )


def _policy(policy: Policy) -> config_pb.ModelVersionPolicy:
    error_classes = config_pb.ModelVersionPolicy
    if policy.versions == "newest":
        return error_classes(latest=error_classes.Latest(num_versions=1))
    if policy.versions == "all":
        return error_classes(all=error_classes.All())
    return error_classes(specific=error_classes.Specific(versions=sorted(policy.versions)))


def statistics(version: Version, count_calls: Summary) -> statistics_pb.ModelStatistics:
    """What a version did since the server started."""
    failures = count_calls.failures.values()
    return statistics_pb.ModelStatistics(
        name=version.name,
        version=version.version,
        last_inference=count_calls.last_inference_ms,
        inference_count=count_calls.rows,
        execution_count=count_calls.executions,
        inference_stats=statistics_pb.InferStatistics(
            success=_duration(count_calls.success),
            fail=_duration(Timer(sum(each.count for each in failures), sum(each.ns for each in failures))),
            queue=_duration(count_calls.queue),
            compute_input=_duration(count_calls.compute_input),
            compute_infer=_duration(count_calls.compute_infer),
            compute_output=_duration(count_calls.compute_output),
            cache_hit=statistics_pb.StatisticDuration(),
            cache_miss=statistics_pb.StatisticDuration(),
        ),
        batch_stats=[
            statistics_pb.InferBatchStatistics(batch_size=rows, compute_infer=_duration(timer))
            for rows, timer in sorted(count_calls.batches.items())
        ],
        failures={reason: _duration(timer) for reason, timer in count_calls.failures.items()},
    )


def _duration(timer: Timer) -> statistics_pb.StatisticDuration:
    return statistics_pb.StatisticDuration(count=timer.count, ns=timer.ns)
