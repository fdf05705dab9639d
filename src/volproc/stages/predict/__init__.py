"""A network views every block along three axes; one fused prediction is written."""
