"""The pure core: records, and decisions as functions of events and times. No input or output, no clock of its own."""
