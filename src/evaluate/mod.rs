//! Scores checkpoints.
