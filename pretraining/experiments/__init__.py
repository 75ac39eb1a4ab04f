"""Small experiments that are run as they stand; each has a page in docs/experiments."""
