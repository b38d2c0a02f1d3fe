"""curate on Airflow: recipes become DAGs, and every task is one call of the command line in its own environment."""
