"""One recipe per network: what it learns from, what it is told, in which steps."""
