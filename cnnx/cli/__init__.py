"""The command `cnnx`: one file a command."""
