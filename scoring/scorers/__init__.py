"""What gives a job its scores: the model in this process, or a server."""
