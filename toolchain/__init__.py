"""Orchestration library of the TinyML toolchain; imports neither TensorFlow nor board code."""
