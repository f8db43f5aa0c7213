"""The environment variables of a worker process, beside those of the settings."""

NUMBER = "SERVICE_WORKER"
"""The worker's number, from 1."""
SOCKET = "SERVICE_CONTROL"
"""File descriptor of the worker's end of the channel to the supervisor."""
