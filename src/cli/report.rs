//! What a person wants to know of a day that was produced.

use super::print;
use crate::produce::Produced;
use crate::publish::Status;

/// Prints where the files are, the main figures and the seconds of each stage.
pub(super) fn produced(produced: &Produced) {
    let (published, figures) = (&produced.published, &produced.published.figures);
    let status = match produced.status {
        Status::Final => "final",
        Status::Provisional => "PROVISIONAL",
    };
    print(format_args!("{} revision {}, {status}", produced.day, published.revision));
    print(format_args!("  in {}", published.folder.display()));
    for file in &published.files {
        print(format_args!("    {:<58} {:>9.1} kB", file.name, file.bytes as f64 / 1e3));
    }
    print("inputs");
    for input in &produced.inputs {
        print(format_args!(
            "  {:<14} {:<16} {} days old, {}",
            input.role, input.product, input.age_days, input.name
        ));
    }
    print("figures");
    print(format_args!(
        "  ice area         {:>10.0} km2 with an estimate, {:.0} km2 without",
        figures.ice_area_km2, figures.ice_area_without_estimate_km2
    ));
    print(format_args!("  ice volume       {:>10.1} km3", figures.ice_volume_km3));
    print(format_args!("  mean thickness   {:>10.2} m (volume per cell area)", figures.mean_thickness_m));
    print(format_args!("  mean spread      {:>10.2} m", figures.mean_spread_m));
    print(format_args!("  members          {:>10} on {}", produced.members, produced.device));
    print(format_args!(
        "  held at 0 m      {:>10.2} % of the members' cells",
        100.0 * produced.clamped_fraction
    ));
    if let Some(bytes) = produced.peak_memory_bytes {
        print(format_args!("  peak memory      {:>10.2} GiB", bytes as f64 / f64::from(1 << 30)));
    }
    print("seconds");
    for timing in &produced.timings {
        print(format_args!("  {:<14} {:>12.2}", timing.stage, timing.seconds));
    }
}
