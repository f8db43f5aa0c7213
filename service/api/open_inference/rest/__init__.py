"""The Open Inference Protocol v2 over REST: its paths, its JSON and its binary tensors, as the messages of its RPCs.

See https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and the extensions in Triton's
documentation: binary_tensor_data, classification, model_configuration, model_repository, shared_memory, statistics.
"""
