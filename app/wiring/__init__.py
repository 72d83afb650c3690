"""Where the rules meet Flask, the database's transactions, Redis and threads."""
