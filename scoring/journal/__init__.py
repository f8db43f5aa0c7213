"""The journal of a job: a folder beside the output that holds every finished chunk."""
