"""Every rule.  Functions are `verb(session, things, *, now)`: they flush, never commit, and read no clock."""
