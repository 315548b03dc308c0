"""What each network is measured by, one file per network."""
