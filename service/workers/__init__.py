"""Several processes that serve on the same ports as one service: a supervisor, its workers, and their messages."""
