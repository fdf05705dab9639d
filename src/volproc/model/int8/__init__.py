"""Our U-Nets in 8 bits: quantised weights beside the float32 ones, run by OpenVINO on CPUs."""
