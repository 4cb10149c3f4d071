"""The runtimes: onnxruntime and OpenVINO compute ONNX files, torch its own networks."""
