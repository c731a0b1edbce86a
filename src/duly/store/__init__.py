"""Where tasks are kept: adapters of the store port, which never see each other, and what they share.

SQL compares and swaps; it decides nothing. No driver's exception leaves this folder.
"""
