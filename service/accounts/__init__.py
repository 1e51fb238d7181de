"""Accounts: who may do what, how much of it, and in which order."""
