//! Which of the files on offer serve a day, and in which folders they lie.

use std::cmp::Reverse;

use crate::config::{Input, Place};
use crate::source::names::{observed_days, pattern};
use crate::source::{KnownName, Product, Role, recognise};
use crate::time::ProductDay;

/// A file on offer that can serve a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// The offer.
    pub offer: T,
    /// What its name says.
    pub known: KnownName,
    /// Days from the centre of its window to the day.
    pub age_days: u32,
}

/// The offers that can give `role` to a day, the best first: the youngest; of these the product, then the processing, that the
/// configuration has first; of these the highest issue; else in the order of the offers. What the configuration does not name
/// never serves, and neither does anything from after the day.
pub fn candidates<T>(
    offers: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> &str,
    role: Role,
    day: ProductDay,
    input: &Input,
) -> Vec<Candidate<T>> {
    let mut ranked: Vec<_> = offers
        .into_iter()
        .filter_map(|offer| {
            let known = recognise(name(&offer)).filter(|known| known.role() == role)?;
            let age_days = age_days(&known, day).filter(|age| *age <= input.oldest_days)?;
            let preference = preference(&known, input)?;
            Some(((age_days, preference), Candidate { offer, known, age_days }))
        })
        .collect();
    // Stable: among equals the place that is asked first stays first.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// `None` for what is centred after the day.
fn age_days(known: &KnownName, day: ProductDay) -> Option<u32> {
    u32::try_from((day.date() - known.centre().date()).num_days()).ok()
}

/// Whether the configuration takes a file for `role`, on the days that it serves.
#[must_use]
pub fn is_taken(known: &KnownName, role: Role, input: &Input) -> bool {
    known.role() == role && preference(known, input).is_some()
}

/// The smaller, the better; `None` for what the configuration does not name.
fn preference(known: &KnownName, input: &Input) -> Option<(usize, usize, Reverse<u8>)> {
    let product = input.products.iter().position(|word| word == known.word())?;
    let (processing, issue) = match &known.product {
        Product::Thickness(release) => {
            (input.processing.iter().position(|way| *way == release.processing)?, release.issue)
        }
        Product::Concentration(_) | Product::Drift(_) => (0, 0),
    };
    Some((product, processing, Reverse(issue)))
}

/// The folders in which files lie that are centred on `newest` or at most `oldest_days` before it: those of the place that is asked
/// first come first, and of each place those of the newest files.
#[must_use]
pub fn folders(input: &Input, role: Role, newest: ProductDay, oldest_days: u32) -> Vec<Place> {
    let mut folders = Vec::new();
    for place in &input.places {
        for age_days in 0..=i64::from(oldest_days) {
            let folder = folder_of(place, role, newest.plus_days(-age_days));
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// The folder of a file by the centre of its window. Providers sort drift by the day on which it ends, thickness by its centre.
fn folder_of(place: &Place, role: Role, centre: ProductDay) -> Place {
    let day = match role {
        Role::Concentration | Role::Thickness => centre,
        Role::Drift => observed_days(role, centre).1,
    };
    let (year, month) = (day.date().format("%Y").to_string(), day.date().format("%m").to_string());
    let folder = place.folder.replace("{year}", &year).replace("{month}", &month);
    Place { server: place.server.clone(), folder }
}

/// The names of files that serve a day, for people.
#[must_use]
pub fn expected_names(role: Role, day: ProductDay, input: &Input) -> String {
    let names = pattern(role, day, input);
    match input.oldest_days {
        0 => names,
        1 => format!("{names} or one a day older"),
        oldest_days => format!("{names} or one up to {oldest_days} days older"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::{Index, subsequence};

    use super::*;
    use crate::config::{Config, Inputs, Overrides, Processing};

    const CONCENTRATION: &str = "ice_conc_nh_polstere-100_amsr2_202603101200.nc";
    const DRIFT: &str = "ice_drift_nh_polstere-625_multi-oi_202603091200-202603111200.nc";
    const THICKNESS: &str = "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260307_20260313_o_v300_01_l4sit.nc";

    fn inputs() -> Inputs {
        Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap().inputs
    }

    fn day() -> ProductDay {
        "2026-03-10".parse().unwrap()
    }

    /// The names that serve the day, the best first.
    fn serving(names: &[String], role: Role, input: &Input) -> Vec<String> {
        let found = candidates(names, |name| name.as_str(), role, day(), input);
        found.into_iter().map(|candidate| candidate.offer.clone()).collect()
    }

    fn thickness(start: &str, end: &str) -> String {
        THICKNESS.replace("20260307", start).replace("20260313", end)
    }

    #[test]
    fn the_order_of_the_products_is_that_of_the_configuration() {
        let of = |word: &str| CONCENTRATION.replace("amsr2", word);
        let names = ["multi", "amsr2", "amsr4", "amsr3"].map(of);
        let mut input = inputs().concentration;
        let serves = |input: &Input| serving(&names, Role::Concentration, input);
        assert_eq!(serves(&input), ["amsr3", "amsr2", "multi"].map(of));
        input.products = vec!["amsr4".into(), "multi".into()];
        assert_eq!(serves(&input), ["amsr4", "multi"].map(of));
    }

    #[test]
    fn age_comes_before_product_product_before_processing_and_processing_before_issue() {
        let v206 = THICKNESS.replace("12P5KM", "25KM").replace("v300", "v206");
        let best_first = [
            THICKNESS.replace("_o_", "_r_"),
            THICKNESS.replace("_01_", "_02_"),
            THICKNESS.to_owned(),
            v206.replace("_o_", "_r_"),
            v206.replace("_01_", "_09_"),
            thickness("20260306", "20260312").replace("_o_", "_r_").replace("_01_", "_10_"),
        ];
        let mut input = inputs().thickness;
        input.processing = vec![Processing::Reprocessed, Processing::Operational];
        let mut names = best_first.clone();
        names.reverse();
        assert_eq!(serving(&names, Role::Thickness, &input), best_first);
    }

    #[test]
    fn a_processing_that_is_not_configured_never_serves() {
        let reprocessed = THICKNESS.replace("_o_", "_r_");
        let mut input = inputs().thickness;
        assert_eq!(input.processing, [Processing::Operational]);
        assert!(serving(&[reprocessed], Role::Thickness, &input).is_empty());
        input.processing.clear();
        assert!(serving(&[THICKNESS.to_owned()], Role::Thickness, &input).is_empty());
    }

    #[test]
    fn each_role_takes_files_as_old_as_it_may_and_none_from_later() {
        let inputs = inputs();
        let day_later = |name: &str, days: i64| {
            let known = recognise(name).unwrap();
            let moved =
                KnownName { start: known.start.plus_days(days), end: known.end.plus_days(days), ..known };
            moved.to_string()
        };
        for (name, role, oldest) in [
            (CONCENTRATION, Role::Concentration, 0),
            (DRIFT, Role::Drift, 3),
            (THICKNESS, Role::Thickness, 10),
        ] {
            let names: Vec<String> = (-15..=3).map(|days| day_later(name, days)).collect();
            let found = candidates(&names, |name| name.as_str(), role, day(), role.input(&inputs));
            let ages: Vec<u32> = found.iter().map(|candidate| candidate.age_days).collect();
            assert_eq!(ages, (0..=oldest).collect::<Vec<u32>>(), "{role}");
        }
    }

    #[test]
    fn of_the_same_name_in_two_places_the_place_asked_first_is_first() {
        let offers =
            [("second", DRIFT), ("first", DRIFT), ("other role", CONCENTRATION), ("note", "readme.txt")];
        let found = candidates(offers, |offer| offer.1, Role::Drift, day(), &inputs().drift);
        let places: Vec<&str> = found.iter().map(|candidate| candidate.offer.0).collect();
        assert_eq!(places, ["second", "first"]);
    }

    fn folders_of(role: Role, day: &str) -> Vec<String> {
        let input = inputs();
        let input = role.input(&input);
        folders(input, role, day.parse().unwrap(), input.oldest_days).into_iter().map(String::from).collect()
    }

    #[test]
    fn the_folders_of_every_file_that_may_serve_are_named_once() {
        let found = folders_of(Role::Concentration, "2026-03-01");
        let conc = "met-norway:osisaf/met.no/ice";
        assert_eq!(found, [format!("{conc}/amsr2_conc/2026/03"), format!("{conc}/conc/2026/03")]);

        let merged = "met-norway:osisaf/met.no/ice/drift_lr/merged";
        // Centred on the last of December it ends in January; three days older it does not.
        let found = folders_of(Role::Drift, "2025-12-31");
        assert_eq!(found, [format!("{merged}/2026/01"), format!("{merged}/2025/12")]);
        assert_eq!(folders_of(Role::Drift, "2025-12-30"), [format!("{merged}/2025/12")]);

        let found = folders_of(Role::Thickness, "2026-01-05");
        let awi = "awi:sea_ice/product/cryosat2_smos";
        let expected = ["v300/nh/LATEST", "v300/nh/2026/01", "v300/nh/2025/12", "v206/nh/LATEST"]
            .map(|f| format!("{awi}/{f}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn people_are_told_the_names_that_would_serve() {
        let inputs = inputs();
        let told = |role: Role| expected_names(role, day(), role.input(&inputs));
        assert_eq!(told(Role::Concentration), "ice_conc_nh_polstere-100_{amsr3,amsr2,multi}_202603101200.nc");
        assert_eq!(told(Role::Drift), format!("{DRIFT} or one up to 3 days older"));
        assert_eq!(
            told(Role::Thickness),
            "W_XX-ESA,SMOS_CS2*,NH_{12P5KM,25KM}_EASE2_20260307_20260313_o_{v300,v206}_*_l4sit.nc or one up to 10 days older"
        );
    }

    /// Names of all roles around the day, some of them of products that are not configured.
    fn any_names() -> impl Strategy<Value = Vec<String>> {
        let name = (0_usize..6, -14_i64..4, 0_u8..4).prop_map(|(kind, days, issue)| {
            let base = match kind {
                0 => CONCENTRATION.to_owned(),
                1 => CONCENTRATION.replace("amsr2", "amsr3"),
                2 => DRIFT.to_owned(),
                3 => DRIFT.replace("multi-oi", "amsr2-gw1"),
                4 => THICKNESS.replace("_01_", &format!("_{issue:02}_")),
                _ => THICKNESS.replace("_o_", "_r_"),
            };
            let known = recognise(&base).unwrap();
            let (start, end) = (known.start.plus_days(days), known.end.plus_days(days));
            KnownName { start, end, ..known }.to_string()
        });
        prop::collection::vec(name, 0..30)
    }

    proptest! {
        #[test]
        fn the_best_does_not_depend_on_what_else_is_offered_or_in_which_order(
            names in any_names(),
            role in prop::sample::select(Role::ALL.to_vec()),
            first in any::<Index>(),
            kept in subsequence((0..30).collect::<Vec<usize>>(), 0..=30),
        ) {
            let inputs = inputs();
            let input = role.input(&inputs);
            let best = |names: &[String]| serving(names, role, input).first().cloned();
            if let Some(expected) = best(&names) {
                let mut turned = names.clone();
                turned.rotate_left(first.index(names.len()));
                prop_assert_eq!(best(&turned), Some(expected.clone()));
                let mut fewer: Vec<String> = kept.iter().filter_map(|at| names.get(*at)).cloned().collect();
                fewer.push(expected.clone());
                prop_assert_eq!(best(&fewer), Some(expected));
            }
        }

        #[test]
        fn every_file_that_serves_lies_in_a_listed_folder(offset in 0_i64..4000, age in 0_u32..=10) {
            let inputs = inputs();
            let first: ProductDay = "2020-01-01".parse().unwrap();
            let day = first.plus_days(offset);
            for role in Role::ALL {
                let input = role.input(&inputs);
                let age = age.min(input.oldest_days);
                let listed = folders(input, role, day, input.oldest_days);
                for place in &input.places {
                    prop_assert!(listed.contains(&folder_of(place, role, day.plus_days(-i64::from(age)))));
                }
            }
        }
    }
}
