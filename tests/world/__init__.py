"""The fake world: the real app, a clock that tests move, and everybody who posts to it or is paged by it."""
