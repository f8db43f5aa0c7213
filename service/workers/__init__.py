"""Several processes that serve on one port as one service: a supervisor, its workers, and what they tell each other."""
