"""What duly decides: values and functions of values.

Nothing here reads a clock, throws dice, makes ids, opens anything or logs; time, dice and ids are arguments.
"""
