"""TensorRT: plans are built once on the device, kept under a full key, and run; nothing heavy is imported from here."""
