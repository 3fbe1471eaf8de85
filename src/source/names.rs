//! What the name of a file says: which product it is, of which days, in which version.
//!
//! Names are taken strictly: windows have the length that the product has, and version and grid belong together, so that
//! what is recognised can be used without further questions. Writing a name again gives the same text.

use std::fmt;

use crate::source::Role;
use crate::time::ProductDay;

/// A file of a known product. Its `Display` is the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// The product.
    pub product: Product,
    /// The first day that it observes.
    pub start: ProductDay,
    /// The last day that it observes.
    pub end: ProductDay,
}

/// The products that make a day. Of two files for the same role and days the greater product is preferred.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// OSI SAF concentration, 10 km.
    Concentration(Radiometer),
    /// OSI SAF merged low-resolution drift (OSI-405), 62.5 km, from noon to noon over two days.
    Drift,
    /// AWI/ESA merged thickness of seven days.
    Thickness(ThicknessRelease),
}

/// The radiometer behind a concentration, the one to prefer last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Radiometer {
    /// SSMIS, several satellites (OSI-401).
    Multi,
    /// AMSR2 (OSI-408-a).
    Amsr2,
    /// AMSR3 (OSI-408-g).
    Amsr3,
}

/// Which release of the merged thickness; the order of the fields is the order of preference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThicknessRelease {
    /// Version and grid.
    pub layout: ThicknessLayout,
    /// Whether it was made at once or again later.
    pub processing: Processing,
    /// Number of the release within its version.
    pub issue: u8,
    /// The altimeters beside CryoSat-2 as the name lists them, such as `_S3A_S3B`; often none.
    pub further_altimeters: String,
}

/// Version and grid of the merged thickness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThicknessLayout {
    /// CS2SMOS v206, 25 km.
    V206,
    /// CS3SMOS v300, 12.5 km.
    V300,
}

/// When a thickness was processed, the one to prefer last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Processing {
    /// At once (`o`).
    Operational,
    /// Again, with better inputs (`r`).
    Reprocessed,
}

const DRIFT_DAYS: i64 = 2;
const THICKNESS_DAYS: i64 = 6;

impl KnownName {
    /// What the file gives to a day.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.product {
            Product::Concentration(_) => Role::Concentration,
            Product::Drift => Role::Drift,
            Product::Thickness(_) => Role::Thickness,
        }
    }

    /// The day in the middle of what it observes.
    #[must_use]
    pub fn centre(&self) -> ProductDay {
        self.start.plus_days((self.end.date() - self.start.date()).num_days() / 2)
    }
}

/// What a file of this name is; `None` where it is none of the known products.
#[must_use]
pub fn recognise(name: &str) -> Option<KnownName> {
    let stem = name.strip_suffix(".nc")?;
    concentration(stem).or_else(|| drift(stem)).or_else(|| thickness(stem))
}

fn concentration(stem: &str) -> Option<KnownName> {
    let (radiometer, date) = stem.strip_prefix("ice_conc_nh_polstere-100_")?.split_once('_')?;
    let radiometer = [Radiometer::Multi, Radiometer::Amsr2, Radiometer::Amsr3]
        .into_iter()
        .find(|known| known.token() == radiometer)?;
    let day = noon_of(date)?;
    Some(KnownName { product: Product::Concentration(radiometer), start: day, end: day })
}

fn drift(stem: &str) -> Option<KnownName> {
    let (start, end) = stem.strip_prefix("ice_drift_nh_polstere-625_multi-oi_")?.split_once('-')?;
    known(Product::Drift, noon_of(start)?, noon_of(end)?, DRIFT_DAYS)
}

fn thickness(stem: &str) -> Option<KnownName> {
    let rest = stem.strip_prefix("W_XX-ESA,SMOS_CS2")?.strip_suffix("_l4sit")?;
    let (further_altimeters, rest) = rest.split_once(',')?;
    let parts: Vec<&str> = rest.split('_').collect();
    let ["NH", resolution, "EASE2", start, end, processing, version, issue] = parts.as_slice() else {
        return None;
    };
    let release = ThicknessRelease {
        layout: [ThicknessLayout::V206, ThicknessLayout::V300]
            .into_iter()
            .find(|layout| layout.tokens() == (*resolution, *version))?,
        processing: [Processing::Operational, Processing::Reprocessed]
            .into_iter()
            .find(|known| known.token() == *processing)?,
        issue: digits(issue, 2)?.parse().ok()?,
        further_altimeters: further_altimeters.to_owned(),
    };
    known(Product::Thickness(release), day_of(start)?, day_of(end)?, THICKNESS_DAYS)
}

fn known(product: Product, start: ProductDay, end: ProductDay, days: i64) -> Option<KnownName> {
    ((end.date() - start.date()).num_days() == days).then_some(KnownName { product, start, end })
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

impl Radiometer {
    fn token(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::Amsr2 => "amsr2",
            Self::Amsr3 => "amsr3",
        }
    }
}

impl Processing {
    fn token(self) -> &'static str {
        match self {
            Self::Operational => "o",
            Self::Reprocessed => "r",
        }
    }
}

impl ThicknessLayout {
    /// Resolution and version as names have them.
    fn tokens(self) -> (&'static str, &'static str) {
        match self {
            Self::V206 => ("25KM", "v206"),
            Self::V300 => ("12P5KM", "v300"),
        }
    }
}

impl fmt::Display for KnownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start.compact(), self.end.compact());
        match &self.product {
            Product::Concentration(radiometer) => {
                write!(formatter, "ice_conc_nh_polstere-100_{}_{start}1200.nc", radiometer.token())
            }
            Product::Drift => {
                write!(formatter, "ice_drift_nh_polstere-625_multi-oi_{start}1200-{end}1200.nc")
            }
            Product::Thickness(release) => {
                let (resolution, version) = release.layout.tokens();
                write!(
                    formatter,
                    "W_XX-ESA,SMOS_CS2{},NH_{resolution}_EASE2_{start}_{end}_{}_{version}_{:02}_l4sit.nc",
                    release.further_altimeters,
                    release.processing.token(),
                    release.issue
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONCENTRATION: &str = "ice_conc_nh_polstere-100_amsr3_202611181200.nc";
    const DRIFT: &str = "ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc";
    const V206: &str = "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc";
    const V300: &str = "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260226_20260304_o_v300_01_l4sit.nc";

    #[test]
    fn the_products_are_recognised_with_role_and_centre() {
        let seen =
            |name: &str| recognise(name).map(|known| (known.role(), known.centre().to_string())).unwrap();
        assert_eq!(seen(CONCENTRATION), (Role::Concentration, "2026-11-18".into()));
        assert_eq!(seen(DRIFT), (Role::Drift, "2022-04-15".into()));
        assert_eq!(seen(V206), (Role::Thickness, "2022-04-15".into()));
        assert_eq!(seen(V300), (Role::Thickness, "2026-03-01".into()));
    }

    #[test]
    fn neighbours_of_the_products_are_not_taken_for_them() {
        for name in [
            "ice_conc_sh_polstere-100_amsr2_202204151200.nc",
            "ice_conc_nh_polstere-100_amsr2_202204151200.nc.part",
            "ice_conc_nh_polstere-100_amsr2_202202301200.nc",
            "ice_conc_nh_ease2-250_icdr-v3p0_202204151200.nc",
            "ice_drift_nh_polstere-625_amsr2-gw1_202204141200-202204161200.nc",
            "ice_drift_nh_polstere-625_multi-oi_202204141200-202204151200.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v300_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220419_r_v206_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,SH_12P5KM_EASE2_20220412_20220418_r_v300_01_l4sit.nc",
            "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_+1_l4sit.nc",
        ] {
            assert_eq!(recognise(name), None, "{name}");
        }
    }

    #[test]
    fn the_better_product_is_the_greater_one() {
        let product = |name: &str| recognise(name).unwrap().product;
        let reprocessed = V206.replace("_r_", "_o_");
        assert!(product(V300) > product(V206));
        assert!(product(V206) > product(&reprocessed));
        assert!(product(&V206.replace("_01_", "_02_")) > product(V206));
        assert!(product(V206) > product(&reprocessed.replace("_01_", "_02_")));
        let multi = product(&CONCENTRATION.replace("amsr3", "multi"));
        let amsr2 = product(&CONCENTRATION.replace("amsr3", "amsr2"));
        assert!(product(CONCENTRATION) > amsr2 && amsr2 > multi);
    }

    fn any_name() -> impl Strategy<Value = KnownName> {
        let radiometer =
            prop_oneof![Just(Radiometer::Multi), Just(Radiometer::Amsr2), Just(Radiometer::Amsr3)];
        let layout = prop_oneof![Just(ThicknessLayout::V206), Just(ThicknessLayout::V300)];
        let processing = prop_oneof![Just(Processing::Operational), Just(Processing::Reprocessed)];
        let release = (layout, processing, 0_u8..100, "(_[A-Z0-9]{3}){0,3}").prop_map(
            |(layout, processing, issue, further_altimeters)| ThicknessRelease {
                layout,
                processing,
                issue,
                further_altimeters,
            },
        );
        let product = prop_oneof![
            radiometer.prop_map(|radiometer| (Product::Concentration(radiometer), 0)),
            Just((Product::Drift, DRIFT_DAYS)),
            release.prop_map(|release| (Product::Thickness(release), THICKNESS_DAYS)),
        ];
        let first: ProductDay = "1991-01-01".parse().unwrap();
        (product, 0_i64..30_000).prop_map(move |((product, days), offset)| {
            let start = first.plus_days(offset);
            KnownName { product, start, end: start.plus_days(days) }
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
                r"ice_(conc|drift)_nh_polstere-(100|625)_(multi|multi-oi|amsr.)_\PC{0,12}1200(-\PC{0,12}1200)?\.nc",
                r"W_XX-ESA,SMOS_CS2\PC{0,4},NH_(25|12P5)KM_EASE2_\PC{0,8}_[0-9]{8}_[or]_v(206|300)_\PC{0,2}_l4sit\.nc",
            ]
        ) {
            if let Some(known) = recognise(&text) {
                prop_assert_eq!(known.to_string(), text);
            }
        }
    }
}
