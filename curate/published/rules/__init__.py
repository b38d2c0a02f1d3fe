"""Rules about rows, one pass; rules about whole documents; rules about several files. One module per family."""
