"""The one place that a prescription is checked through: what is open here, or a certified base in its stead."""
