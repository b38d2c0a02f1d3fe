"""Ways to run parts. This room knows nothing of medicine: it calls a named function with JSON and watches."""
