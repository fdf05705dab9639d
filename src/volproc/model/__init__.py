"""Networks, their weights and cards, and how images are brought to what they expect."""
