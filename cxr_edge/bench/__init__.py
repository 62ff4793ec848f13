"""How fast and how large the library is on this machine: a grid of cells, each measured in a process of its own.

Nothing is imported from here: the process of a cell starts in this package and must not load what its cell doesn't use.
"""
