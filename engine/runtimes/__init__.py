"""What computes a network: onnxruntime, from an export that was compared with torch, or torch."""
