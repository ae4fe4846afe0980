"""Rewrites of statements: what virtual tables cannot do is said in another way. One file a rewrite."""
