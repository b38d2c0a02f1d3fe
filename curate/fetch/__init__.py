"""Datasets by their addresses: terms accepted, files resumed and proved, archives unpacked below the data root.

A server is trusted with nothing: not with where it sends one, how much it sends, or that what it sends is the file.
"""
