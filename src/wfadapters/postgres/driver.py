"""The driver, which is optional: without it, an error that says what to install."""

try:
    import psycopg
    import psycopg_pool
except ImportError as error:
    raise ImportError(
        f"{error}: wfadapters.postgres needs psycopg and psycopg-pool; run: pip install 'wfcore[postgres]'",
        name=error.name,
    ) from error

__all__ = ["psycopg", "psycopg_pool"]
