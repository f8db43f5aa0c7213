"""The variables by which a worker process knows what it is; beside them it has those of the settings."""

NUMBER = "SERVICE_WORKER"
"""The worker's number, from 1."""
SOCKET = "SERVICE_CONTROL"
"""File descriptor of its end of the channel to the supervisor."""
