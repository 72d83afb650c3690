"""The hub and its processes as they are: real programs, real process ids, kill -9."""
