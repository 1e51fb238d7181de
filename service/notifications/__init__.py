"""Notifications: what is told by e-mail and webhook, kept in the database until it has arrived."""
