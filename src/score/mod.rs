//! Metrics and spectra: how near members come to the truth, and how alike they are to it. Computes only.
//!
//! Everything is first a [`Tally`]: the sums of one scene. Tallies of many scenes add up, and each [`Measure`] is a function
//! of such a sum, so that days can be pooled, and drawn again for the uncertainty of a measure ([`estimates`]).
//! `docs/evaluation.md` says what each measure means.

mod bootstrap;
mod coarse;
mod fourier;
mod measures;
mod points;
mod random_field;
mod ranks;
mod real_days;
mod reliability;
mod similarity;
mod spectra;
mod tally;
mod variability;

pub use bootstrap::{Estimate, bands, estimates, ratio};
pub use coarse::{CoarseTally, DifferenceTally, distance_from_edge, smooth_over_ice};
pub use fourier::Fourier;
pub use measures::{CLASS_MEASURES, MEASURES, Measure, measure};
pub use points::{PointTally, fair_crps};
pub use random_field::{RandomFields, normals_needed};
pub use ranks::{Ranks, largest_deviation};
pub use real_days::{HoleTally, block_means, bump, gradient_magnitude};
pub use reliability::{ReliabilityTally, THIN_ICE_M};
pub use similarity::{SimilarityTally, structural_similarity};
pub use spectra::{
    AnomalyStatistics, FINE_KM, MEDIUM_KM, RINGS, Regimes, Ring, SpectraTally, WINDOW, regimes, rings,
    wavelengths_km, windows_every, windows_inside,
};
pub use tally::{Scene, Tally, tally};
pub use variability::{CLASSES_M, ClassTally, class_of};
