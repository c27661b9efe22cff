"""What a person takes, in a few words for each line: for records, which shows it beside its own."""
