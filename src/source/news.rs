//! Names that look like a product nobody has configured yet: providers rename without a word, and a person must hear of it before the
//! known names stop.

use crate::config::Inputs;
use crate::source::{KnownName, Role, recognise};

/// What the words of drift from a single sensor begin with. It lies beside the merged drift, and is none.
const SINGLE_SENSORS: [&str; 4] = ["amsr", "ascat", "avhrr", "ssmi"];

/// What stands for a date in a shape.
const DATE: &str = "{date}";
/// A run of this many digits is a date, with or without the time of day; no version or resolution has so many.
const SHORTEST_DATE: usize = 6;

/// The shape of a listed name, `{date}` for every date in it, where the name looks like a new version of a configured product and is
/// none. It is the same for the files of every day, so that a new name is told once.
///
/// Names of the south, of drift from one sensor, of OSI SAF's climate records and of the other processing are well known: no news.
#[must_use]
pub fn unknown_shape(name: &str, inputs: &Inputs) -> Option<String> {
    let stem = name.strip_suffix(".nc")?;
    let is_news = match recognise(name) {
        Some(known) => !is_configured(&known, inputs) && !is_single_sensor(&known),
        None => looks_familiar(&stem.to_lowercase()),
    };
    is_news.then(|| shape(name))
}

fn is_configured(known: &KnownName, inputs: &Inputs) -> bool {
    known.role().input(inputs).products.iter().any(|word| word == known.word())
}

fn is_single_sensor(known: &KnownName) -> bool {
    known.role() == Role::Drift && SINGLE_SENSORS.iter().any(|sensor| known.word().starts_with(sensor))
}

/// Whether a name that is not understood begins like one that is, or names a merged thickness; in lower case.
fn looks_familiar(stem: &str) -> bool {
    if is_southern(stem) {
        return false;
    }
    let osi_saf = ["ice_conc_nh", "ice_drift_nh"].iter().any(|start| stem.starts_with(start));
    let esa = stem.starts_with("w_xx-esa") && stem.contains("nh") && stem.ends_with("l4sit");
    let merged = ["cs2smos", "cs3smos"].iter().any(|word| stem.contains(word));
    // On EASE2 grids OSI SAF has its climate records only.
    osi_saf && !stem.contains("_ease2-") || esa || merged
}

/// Whether a part of the name is `sh`, or `sh25km`.
fn is_southern(stem: &str) -> bool {
    stem.split(|character: char| !character.is_alphanumeric()).any(|part| {
        let rest = part.strip_prefix("sh");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|first: char| first.is_ascii_digit()))
    })
}

/// The name with its dates taken out.
fn shape(name: &str) -> String {
    let mut shape = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let date = date_length(rest);
        // The digits of a number stay together: from the middle of one no date begins.
        let taken = if date > 0 { date } else { digits_at(rest).max(first.len_utf8()) };
        shape.push_str(if date > 0 { DATE } else { &rest[..taken] });
        rest = &rest[taken..];
    }
    shape
}

/// Bytes that the date takes with which a text begins: `20260301`, `202603011200`, `2026-03-01`; 0 where there is none.
fn date_length(text: &str) -> usize {
    let digits = digits_at(text);
    if digits >= SHORTEST_DATE {
        return digits;
    }
    let dashed = |text: &str, digits: usize| text.starts_with('-') && digits_at(&text[1..]) == digits;
    let is_dashed = digits == 4 && dashed(&text[4..], 2) && dashed(&text[7..], 2);
    if is_dashed { "2026-03-01".len() } else { 0 }
}

/// How many digits a text begins with.
fn digits_at(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Overrides};

    fn inputs() -> Inputs {
        Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap().inputs
    }

    #[track_caller]
    fn assert_news(name: &str, shape: &str) {
        assert_eq!(unknown_shape(name, &inputs()).as_deref(), Some(shape), "{name}");
    }

    #[test]
    fn a_new_word_in_a_known_name_is_news() {
        assert_news(
            "ice_conc_nh_polstere-100_amsr4_202703011200.nc",
            "ice_conc_nh_polstere-100_amsr4_{date}.nc",
        );
        assert_news(
            "ice_drift_nh_polstere-625_multi-oi2_202703011200-202703031200.nc",
            "ice_drift_nh_polstere-625_multi-oi2_{date}-{date}.nc",
        );
        assert_news(
            "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260226_20260304_o_v310_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{date}_{date}_o_v310_01_l4sit.nc",
        );
    }

    #[test]
    fn a_new_form_of_a_known_name_is_news() {
        assert_news(
            "ice_conc_nh_polstere-050_amsr3_202703011200.nc",
            "ice_conc_nh_polstere-050_amsr3_{date}.nc",
        );
        assert_news(
            "ice_conc_nh_polstere-100_amsr3_20270301T120000Z.nc",
            "ice_conc_nh_polstere-100_amsr3_{date}T{date}Z.nc",
        );
        assert_news(
            "ice_conc_nh_polstere-100_amsr3_2027-03-01.nc",
            "ice_conc_nh_polstere-100_amsr3_{date}.nc",
        );
        assert_news(
            "W_XX-ESA,SMOS_CRISTAL,NH_06P25KM_EASE2_20260226_20260304_o_v400_01_l4sit.nc",
            "W_XX-ESA,SMOS_CRISTAL,NH_06P25KM_EASE2_{date}_{date}_o_v400_01_l4sit.nc",
        );
        assert_news(
            "awi-cs3smos-l4-sithick-rep-nh12km_ease2-20260226_20260304-fv4p0.nc",
            "awi-cs3smos-l4-sithick-rep-nh12km_ease2-{date}_{date}-fv4p0.nc",
        );
        assert_news("CS3SMOS_20260301_v4.nc", "CS3SMOS_{date}_v4.nc");
    }

    #[test]
    fn the_configured_products_and_their_known_neighbours_are_no_news() {
        for name in [
            "ice_conc_nh_polstere-100_amsr3_202703011200.nc",
            "ice_drift_nh_polstere-625_multi-oi_202703011200-202703031200.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_o_v206_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc",
            "ice_conc_sh_polstere-100_amsr4_202703011200.nc",
            "ice_drift_sh_polstere-625_multi-oi_202703011200-202703031200.nc",
            "W_XX-ESA,SMOS_CS2_S3A_S3B,SH_12P5KM_EASE2_20260226_20260304_o_v310_01_l4sit.nc",
            "awi-cs2smos-l4-sithick-nrt-sh25km_ease2-20260226_20260304-fv2p0.nc",
            "ice_drift_nh_polstere-625_amsr2-gw1_202703011200-202703031200.nc",
            "ice_drift_nh_polstere-625_ssmis-f18_202703011200-202703031200.nc",
            "ice_conc_nh_ease2-250_icdr-v3p0_202703011200.nc",
            "ice_drift_nh_ease2-750_cdr-v1p0_24h-202703011200.nc",
            "ice_type_nh_polstere-100_multi_202703011200.nc",
            "ice_conc_nh_polstere-100_amsr4_202703011200.nc.md5",
            "catalog.xml",
            "",
        ] {
            assert_eq!(unknown_shape(name, &inputs()), None, "{name}");
        }
    }

    #[test]
    fn what_the_configuration_names_is_no_news_any_more() {
        let mut inputs = inputs();
        let name = "ice_conc_nh_polstere-100_amsr4_202703011200.nc";
        assert!(unknown_shape(name, &inputs).is_some());
        inputs.concentration.products.push("amsr4".into());
        assert_eq!(unknown_shape(name, &inputs), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_shape_is_its_own(
            name in prop_oneof![".*", r"(ice_conc_nh|W_XX-ESA,|CS3SMOS)[\PC0-9-]{0,40}(l4sit)?\.nc"]
        ) {
            if let Some(shape) = unknown_shape(&name, &inputs()) {
                prop_assert_eq!(super::shape(&shape), shape);
            }
        }

        #[test]
        fn every_day_of_a_new_product_has_one_shape(year in 1990..2100, month in 1..13, day in 1..29) {
            let name = format!("ice_conc_nh_polstere-100_amsr4_{year}{month:02}{day:02}1200.nc");
            let shape = unknown_shape(&name, &inputs());
            prop_assert_eq!(shape.as_deref(), Some("ice_conc_nh_polstere-100_amsr4_{date}.nc"));
        }
    }
}
