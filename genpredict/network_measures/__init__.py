"""Measures of a network as a function: what its layers' weights alone do not tell.

Tensors and modules in, numbers out; no files and no labels. Each measure is one module.
"""
