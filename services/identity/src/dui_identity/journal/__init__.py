"""The access journal: kept append-only, chained by hashes, anchored by signed heads outside the database."""
