"""Recipes, one per network and of the same name; `python -m engine.train NAME` runs one. Never on a request's path."""
