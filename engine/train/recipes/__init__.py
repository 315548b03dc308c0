"""One recipe per network: what it learns from, its options, its steps."""
