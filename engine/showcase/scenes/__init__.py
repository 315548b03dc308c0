"""One product each: its shape as signed distances, its materials, its light."""
