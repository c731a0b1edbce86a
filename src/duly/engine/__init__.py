"""Loops: the store's thread, and a node with its exchanges, attempts and runners. Sees ports, never an adapter."""
