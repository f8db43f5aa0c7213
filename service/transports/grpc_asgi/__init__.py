"""gRPC as an ASGI application, for Envoy."""
