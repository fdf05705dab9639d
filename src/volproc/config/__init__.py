"""What options are made of; the tables about a whole run. A stage's are in its folder."""
