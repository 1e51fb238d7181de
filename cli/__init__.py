"""The one `autodl` command."""
