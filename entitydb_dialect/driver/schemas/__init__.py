"""What SQLite was told of the databases of a connection, and which of them a name means."""
