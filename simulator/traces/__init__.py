"""Traces that are shipped, of devices that `simulator.traces.synthetic` made up; and others' formats, converted."""
