"""Asking through the providers' batch APIs: half the price, answers within a day.

:mod:`.interviewer` conducts interviews a batch at a time, :mod:`.journal` keeps what is open on
disk, :mod:`.service` is what the three protocols have in common, and each has a module of its own.
"""
