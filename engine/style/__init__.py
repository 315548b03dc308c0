"""The verb stylize: a photo in the manner of artworks."""
