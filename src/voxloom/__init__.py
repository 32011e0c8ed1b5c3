"""Exact, fast, resumable patch loading for training neural networks on 3D volumes."""
