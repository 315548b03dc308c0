"""The verb generate: new product pictures."""
