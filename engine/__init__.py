"""Models in memory and the batches that run on them; knows nothing of gRPC or protobuf."""
