"""EntityDB: an embedded temporal database for SQLAlchemy."""
