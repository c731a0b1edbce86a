"""What tests need of PostgreSQL, which the benchmarks start, too."""

from tools.server import GIVEN, Databases, Postgres, Server, free_port

__all__ = ["GIVEN", "Databases", "Postgres", "Server", "free_port"]
