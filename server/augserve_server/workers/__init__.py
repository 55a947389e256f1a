"""Several processes that serve on one socket, and the one that keeps them: ``augserve serve --workers N``."""
