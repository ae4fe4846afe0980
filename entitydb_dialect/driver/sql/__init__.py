"""SQL as text: tokens, and what kind of statement they make. Nothing here knows a connection."""
