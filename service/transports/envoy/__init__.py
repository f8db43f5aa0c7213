"""The fast transport: Envoy speaks HTTP/2 and calls the ASGI application in its own process."""
