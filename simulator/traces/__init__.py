"""Traces that are shipped: of made-up devices, by `simulator.traces.synthetic`; none is anybody's measurement."""
