"""What is declared: clusters, their parts, laws, failures and services; read from files or written in Python."""
