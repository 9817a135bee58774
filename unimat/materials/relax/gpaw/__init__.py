"""GPAW: free plane-wave DFT."""
