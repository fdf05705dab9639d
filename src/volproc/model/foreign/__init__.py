"""Networks that others made: bioimage.io packages, ONNX, torch.export, TorchScript."""
