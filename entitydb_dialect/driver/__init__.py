"""The PEP 249 driver over apsw."""
