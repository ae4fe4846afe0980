"""Benchmarks: `python benchmarks --help`.

Every row is a ratio of two sides measured in one run, in turns, on one machine: never a time by itself. The smallest
of several times counts, because what else the machine does only ever adds. Both sides must give the same answer.
"""
