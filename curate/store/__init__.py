"""Parts, their sidecars and the files that they name: the output is the checkpoint."""
