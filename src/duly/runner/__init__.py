"""Processes that run attempts: the supervisor's side (`pool`, `perform`) and the other (`zygote`, `child`).

The other side imports only this folder's own modules, the floors below and the user's code, so that it starts fast;
and it is given no handle, path or secret of a store (P3).
"""
