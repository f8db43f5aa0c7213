"""Models in memory: each version a session behind a batcher, in a repository that follows the models folder."""
