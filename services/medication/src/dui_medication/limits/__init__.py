"""What the law limits of an order: how long, how often again, by whom; what a narcotic and a child ask for."""
