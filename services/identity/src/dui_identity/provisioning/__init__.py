"""What is asked of the identity provider: a queue in the database, emptied by a job."""
