"""The feature *submission*: endpoints, then service, then repository, then models."""
