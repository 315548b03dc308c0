"""Networks and methods, one per file: tensors in, tensors out; no files, no Hub, no page."""
