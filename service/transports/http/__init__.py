"""HTTP beside gRPC: the page, probes, metrics, and the RPCs by the Connect protocol."""
