"""A job on its way: what is asked for, what it gets, what it gives, and the receipt of it."""
