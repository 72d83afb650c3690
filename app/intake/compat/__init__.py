"""The URL shapes of our peers, one file each."""
