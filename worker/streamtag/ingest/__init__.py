"""From a source to samples: one decoder process a job, and the parent's side of it."""
