"""The database of a service: engines and transactions, statements, the tables of the kit, migrations."""
