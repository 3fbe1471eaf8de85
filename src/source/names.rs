//! What the name of a file says: which product it is, of which days, in which version.
//!
//! Names are taken strictly: windows have the length that the product has, and every part has its own form. Which products
//! there are is not known here: the word of a name that tells products of one quantity apart (`amsr3`, `multi-oi`, `v300`) is text,
//! and the configuration says which words are taken. Writing a name again gives the same text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{Input, Processing};
use crate::source::Role;
use crate::time::ProductDay;

/// A file of a product whose names are understood. Its `Display` is the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// The product.
    pub product: Product,
    /// The first day that it observes.
    pub start: ProductDay,
    /// The last day that it observes.
    pub end: ProductDay,
}

/// The products that make a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// OSI SAF concentration, 10 km; the text is the word for its radiometers: `amsr3`, `amsr2`, `multi`.
    Concentration(String),
    /// OSI SAF low-resolution drift, 62.5 km, from noon to noon over two days; the text is `multi-oi` for the merged product
    /// (OSI-405), else the word of a single sensor.
    Drift(String),
    /// AWI/ESA merged thickness of seven days.
    Thickness(ThicknessRelease),
}

/// Which release of the merged thickness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThicknessRelease {
    /// Its version, such as `v300`.
    pub version: String,
    /// What the resolution in its name says of its layout.
    pub layout: ThicknessLayout,
    /// Whether it was made at once or again later.
    pub processing: Processing,
    /// Number of the release within its version.
    pub issue: u8,
    /// The altimeters beside CryoSat-2 as the name lists them, such as `_S3A_S3B`; often none.
    pub further_altimeters: String,
}

/// The layouts of the merged thickness, by their first or last version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThicknessLayout {
    /// CS2SMOS up to v206, 25 km.
    V206,
    /// CS3SMOS from v300 on, 12.5 km.
    V300,
}

const CONCENTRATION: &str = "ice_conc_nh_polstere-100_";
const DRIFT: &str = "ice_drift_nh_polstere-625_";
const THICKNESS: &str = "W_XX-ESA,SMOS_CS2";

impl KnownName {
    /// What the file gives to a day.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.product {
            Product::Concentration(_) => Role::Concentration,
            Product::Drift(_) => Role::Drift,
            Product::Thickness(_) => Role::Thickness,
        }
    }

    /// The word that tells the product from others of the same quantity.
    #[must_use]
    pub fn word(&self) -> &str {
        match &self.product {
            Product::Concentration(word) | Product::Drift(word) => word,
            Product::Thickness(release) => &release.version,
        }
    }

    /// The day in the middle of what it observes.
    #[must_use]
    pub fn centre(&self) -> ProductDay {
        self.start.plus_days((self.end.date() - self.start.date()).num_days() / 2)
    }
}

/// The first and the last day that a file centred on a day observes.
pub(super) fn observed_days(role: Role, centre: ProductDay) -> (ProductDay, ProductDay) {
    let reach = match role {
        Role::Concentration => 0,
        Role::Drift => 1,
        Role::Thickness => 3,
    };
    (centre.plus_days(-reach), centre.plus_days(reach))
}

/// What a file of this name is; `None` where it is none of the products that make a day.
#[must_use]
pub fn recognise(name: &str) -> Option<KnownName> {
    let stem = name.strip_suffix(".nc")?;
    concentration(stem).or_else(|| drift(stem)).or_else(|| thickness(stem))
}

fn concentration(stem: &str) -> Option<KnownName> {
    let (word, date) = stem.strip_prefix(CONCENTRATION)?.split_once('_')?;
    let day = noon_of(date)?;
    known(Product::Concentration(plain_word(word)?), day, day)
}

fn drift(stem: &str) -> Option<KnownName> {
    let (word, dates) = stem.strip_prefix(DRIFT)?.split_once('_')?;
    let (start, end) = dates.split_once('-')?;
    known(Product::Drift(plain_word(word)?), noon_of(start)?, noon_of(end)?)
}

fn thickness(stem: &str) -> Option<KnownName> {
    let rest = stem.strip_prefix(THICKNESS)?.strip_suffix("_l4sit")?;
    let (further_altimeters, rest) = rest.split_once(',')?;
    let parts: Vec<&str> = rest.split('_').collect();
    let ["NH", resolution, "EASE2", start, end, processing, version, issue] = parts.as_slice() else {
        return None;
    };
    digits(version.strip_prefix('v')?, 3)?;
    let release = ThicknessRelease {
        version: (*version).to_owned(),
        layout: ThicknessLayout::ALL.into_iter().find(|layout| layout.resolution() == *resolution)?,
        processing: [Processing::Operational, Processing::Reprocessed]
            .into_iter()
            .find(|known| letter(*known) == *processing)?,
        issue: digits(issue, 2)?.parse().ok()?,
        further_altimeters: altimeters(further_altimeters)?.to_owned(),
    };
    known(Product::Thickness(release), day_of(start)?, day_of(end)?)
}

/// The file, if its window has the length that the product has.
fn known(product: Product, start: ProductDay, end: ProductDay) -> Option<KnownName> {
    let known = KnownName { product, start, end };
    (observed_days(known.role(), known.centre()) == (start, end)).then_some(known)
}

fn plain_word(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!text.is_empty() && text.bytes().all(is_plain)).then(|| text.to_owned())
}

fn altimeters(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    ((text.is_empty() || text.starts_with('_')) && text.bytes().all(is_plain)).then_some(text)
}

fn noon_of(text: &str) -> Option<ProductDay> {
    day_of(text.strip_suffix("1200")?)
}

fn day_of(text: &str) -> Option<ProductDay> {
    ProductDay::from_compact(digits(text, 8)?).ok()
}

fn digits(text: &str, count: usize) -> Option<&str> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// The letter of a thickness's processing in its name.
fn letter(processing: Processing) -> &'static str {
    match processing {
        Processing::Operational => "o",
        Processing::Reprocessed => "r",
    }
}

impl ThicknessLayout {
    /// All of them, the newest first.
    const ALL: [Self; 2] = [Self::V300, Self::V206];

    /// The resolution as names have it.
    fn resolution(self) -> &'static str {
        match self {
            Self::V206 => "25KM",
            Self::V300 => "12P5KM",
        }
    }
}

/// The names that files centred on a day have, for people: of `{a,b}` either may stand there, for `*` anything.
pub(super) fn pattern(role: Role, centre: ProductDay, input: &Input) -> String {
    let (start, end) = observed_days(role, centre);
    let (start, end) = (start.compact(), end.compact());
    let words = alternatives(input.products.iter().map(String::as_str));
    match role {
        Role::Concentration => format!("{CONCENTRATION}{words}_{start}1200.nc"),
        Role::Drift => format!("{DRIFT}{words}_{start}1200-{end}1200.nc"),
        Role::Thickness => {
            let resolutions = alternatives(ThicknessLayout::ALL.into_iter().map(ThicknessLayout::resolution));
            let processing = alternatives(input.processing.iter().copied().map(letter));
            format!("{THICKNESS}*,NH_{resolutions}_EASE2_{start}_{end}_{processing}_{words}_*_l4sit.nc")
        }
    }
}

fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if let [only] = words[..] { only.to_owned() } else { format!("{{{}}}", words.join(",")) }
}

impl fmt::Display for KnownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start.compact(), self.end.compact());
        match &self.product {
            Product::Concentration(word) => write!(formatter, "{CONCENTRATION}{word}_{start}1200.nc"),
            Product::Drift(word) => write!(formatter, "{DRIFT}{word}_{start}1200-{end}1200.nc"),
            Product::Thickness(release) => write!(
                formatter,
                "{THICKNESS}{},NH_{}_EASE2_{start}_{end}_{}_{}_{:02}_l4sit.nc",
                release.further_altimeters,
                release.layout.resolution(),
                letter(release.processing),
                release.version,
                release.issue
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AMSR3: &str = "ice_conc_nh_polstere-100_amsr3_202611181200.nc";
    const MERGED: &str = "ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc";
    const V206: &str = "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc";
    const V300: &str = "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260226_20260304_o_v300_01_l4sit.nc";

    #[test]
    fn the_products_are_recognised_with_role_word_and_centre() {
        for (name, role, word, centre) in [
            (AMSR3, Role::Concentration, "amsr3", "2026-11-18"),
            (MERGED, Role::Drift, "multi-oi", "2022-04-15"),
            (V206, Role::Thickness, "v206", "2022-04-15"),
            (V300, Role::Thickness, "v300", "2026-03-01"),
        ] {
            let known = recognise(name).unwrap();
            let seen = (known.role(), known.word(), known.centre().to_string());
            assert_eq!(seen, (role, word, centre.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_word_that_nobody_has_seen_yet_is_read_like_the_others() {
        let word = |name: String| recognise(&name).unwrap().word().to_owned();
        assert_eq!(word(AMSR3.replace("amsr3", "cimr-a")), "cimr-a");
        assert_eq!(word(MERGED.replace("multi-oi", "amsr2-gw1")), "amsr2-gw1");
        assert_eq!(word(V300.replace("v300", "v310")), "v310");
    }

    #[test]
    fn neighbours_of_the_products_are_not_taken_for_them() {
        for name in [
            "ice_conc_sh_polstere-100_amsr2_202204151200.nc",
            "ice_conc_nh_polstere-100_amsr2_202204151200.nc.part",
            "ice_conc_nh_polstere-100_amsr2_202202301200.nc",
            "ice_conc_nh_polstere-100_AMSR2_202204151200.nc",
            "ice_conc_nh_polstere-100__202204151200.nc",
            "ice_conc_nh_ease2-250_icdr-v3p0_202204151200.nc",
            "ice_drift_nh_polstere-625_multi-oi_202204141200-202204151200.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220419_r_v206_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_50KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_x_v206_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v2.6_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,SH_12P5KM_EASE2_20220412_20220418_r_v300_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_+1_l4sit.nc",
            "W_XX-ESA,SMOS_CS2/..,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc",
        ] {
            assert_eq!(recognise(name), None, "{name}");
        }
    }

    fn any_name() -> impl Strategy<Value = KnownName> {
        let layout = prop_oneof![Just(ThicknessLayout::V206), Just(ThicknessLayout::V300)];
        let processing = prop_oneof![Just(Processing::Operational), Just(Processing::Reprocessed)];
        let release = ("v[0-9]{3}", layout, processing, 0_u8..100, "(_[A-Z0-9]{3}){0,3}").prop_map(
            |(version, layout, processing, issue, further_altimeters)| ThicknessRelease {
                version,
                layout,
                processing,
                issue,
                further_altimeters,
            },
        );
        let product = prop_oneof![
            "[a-z0-9-]{1,12}".prop_map(Product::Concentration),
            "[a-z0-9-]{1,12}".prop_map(Product::Drift),
            release.prop_map(Product::Thickness),
        ];
        let first: ProductDay = "1991-01-01".parse().unwrap();
        (product, 0_i64..30_000).prop_map(move |(product, offset)| {
            let centre = first.plus_days(offset);
            let known = KnownName { product, start: centre, end: centre };
            let (start, end) = observed_days(known.role(), centre);
            KnownName { start, end, ..known }
        })
    }

    proptest! {
        #[test]
        fn a_name_is_recognised_as_it_was_written(name in any_name()) {
            prop_assert_eq!(recognise(&name.to_string()), Some(name));
        }

        #[test]
        fn no_text_makes_it_panic_and_what_is_recognised_is_written_the_same(
            text in prop_oneof![
                ".*",
                r"ice_(conc|drift)_nh_polstere-(100|625)_(multi|multi-oi|amsr.|\PC{1,4})_\PC{0,12}1200(-\PC{0,12}1200)?\.nc",
                r"W_XX-ESA,SMOS_CS2\PC{0,4},NH_(25|12P5)KM_EASE2_\PC{0,8}_[0-9]{8}_[or]_v(206|\PC{3})_\PC{0,2}_l4sit\.nc",
            ]
        ) {
            if let Some(known) = recognise(&text) {
                prop_assert_eq!(known.to_string(), text);
            }
        }
    }
}
