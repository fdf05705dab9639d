"""A network looks at every block along three axes; one fused answer is written."""
