"""gRPC by grpc.aio, in this process: the default transport."""
