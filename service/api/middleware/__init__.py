"""What every RPC passes through on its way to a handler."""
