"""Where and how the arithmetic happens: the device, tiles, previews, work that reports."""
