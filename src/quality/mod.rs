//! Checks of inputs and of products: pure functions from numbers and arrays to findings. No IO, no clock.

mod inputs;
mod product;

use std::fmt;

pub use inputs::judge;
pub use product::{Checked, check};

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// The number found; NaN where there is none.
    pub measured: f64,
    /// The lowest number that passes; minus infinity where none is too low.
    pub lowest: f64,
    /// The highest number that passes; infinity where none is too high.
    pub highest: f64,
}

impl Finding {
    /// Whether the number found lies within its limits. NaN, which says that there is none, does not.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.lowest <= self.measured && self.measured <= self.highest
    }

    /// The number found, as people want it.
    #[must_use]
    pub fn measured_in_words(&self) -> String {
        match self.measured {
            measured if measured.is_nan() => "not measured".to_owned(),
            // Numbers of cells.
            measured if measured.fract() == 0.0 => measured.to_string(),
            measured => format!("{measured:.3}"),
        }
    }

    /// What passes.
    #[must_use]
    pub fn limits_in_words(&self) -> String {
        let Self { lowest, highest, .. } = self;
        match (lowest.is_finite(), highest.is_finite()) {
            (true, true) if highest <= lowest => format!("must be {lowest}"),
            (true, true) => format!("from {lowest} to {highest}"),
            (true, false) => format!("at least {lowest}"),
            (false, true) => format!("at most {highest}"),
            (false, false) => "any".to_owned(),
        }
    }

    /// So many cells that break a rule; none may.
    fn none_may(check: &'static str, cells: usize) -> Self {
        Self { check, measured: cells as f64, lowest: 0.0, highest: 0.0 }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.check, self.measured_in_words(), self.limits_in_words())
    }
}
