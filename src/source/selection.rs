//! Which of the listed files make a day: its own, and where these are not there yet, the newest that still serve.

use std::path::{Path, PathBuf};

use crate::fetch::Listed;
use crate::source::{KnownName, MissingRole, Role, SourceError, recognise};
use crate::time::ProductDay;

/// The files that make a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The concentration of the day.
    pub concentration: SelectedFile,
    /// The thickness.
    pub thickness: SelectedFile,
    /// The drift.
    pub drift: SelectedFile,
    /// True where all three are centred on the day: the product will be final. Else it is provisional.
    pub settled: bool,
}

/// One file of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What its name says.
    pub known: KnownName,
}

/// The oldest drift that serves, days between its centre and the day: the one from D-2 to D.
const OLDEST_DRIFT_DAYS: i64 = 1;

/// Picks the files of `day` from those `listed` in `folder`: for each role the newest that is centred on the day or, for
/// drift and thickness, shortly before it; of several with the same days the best product, then the last name.
///
/// # Errors
/// [`SourceError::Missing`] with every role for which nothing fits.
pub fn select(
    listed: &[Listed],
    folder: &Path,
    day: ProductDay,
    oldest_thickness_days: u32,
) -> Result<Selected, SourceError> {
    let known: Vec<SelectedFile> = listed
        .iter()
        .filter_map(|file| Some(SelectedFile { known: recognise(&file.name)?, path: file.path.clone() }))
        .collect();
    let oldest_thickness_days = i64::from(oldest_thickness_days);
    let concentration = newest(&known, Role::Concentration, day, 0);
    let thickness = newest(&known, Role::Thickness, day, oldest_thickness_days);
    let drift = newest(&known, Role::Drift, day, OLDEST_DRIFT_DAYS);
    match (concentration, thickness, drift) {
        (Some(concentration), Some(thickness), Some(drift)) => {
            let settled = [&thickness, &drift].iter().all(|file| age_days(file, day) == 0);
            Ok(Selected { concentration, thickness, drift, settled })
        }
        (concentration, thickness, drift) => {
            let lacks = [
                (concentration.is_none(), Role::Concentration),
                (thickness.is_none(), Role::Thickness),
                (drift.is_none(), Role::Drift),
            ];
            let missing = lacks
                .into_iter()
                .filter(|(lacking, _)| *lacking)
                .map(|(_, role)| MissingRole {
                    role,
                    looked_for: looked_for(role, day, oldest_thickness_days),
                })
                .collect();
            Err(SourceError::Missing { day, folder: folder.to_owned(), missing })
        }
    }
}

fn newest(files: &[SelectedFile], role: Role, day: ProductDay, oldest_days: i64) -> Option<SelectedFile> {
    files
        .iter()
        .filter(|file| file.known.role() == role && (0..=oldest_days).contains(&age_days(file, day)))
        .max_by_key(|file| (file.known.centre(), &file.known.product))
        .cloned()
}

fn age_days(file: &SelectedFile, day: ProductDay) -> i64 {
    (day.date() - file.known.centre().date()).num_days()
}

/// The names that serve a role, for people.
fn looked_for(role: Role, day: ProductDay, oldest_thickness_days: i64) -> String {
    let on = |days: i64| day.plus_days(days).compact();
    match role {
        Role::Concentration => format!("ice_conc_nh_polstere-100_{{amsr3,amsr2,multi}}_{}1200.nc", on(0)),
        Role::Drift => {
            let name = |start, end| format!("ice_drift_nh_polstere-625_multi-oi_{start}1200-{end}1200.nc");
            format!("{} or {}", name(on(-1), on(1)), name(on(-2), on(0)))
        }
        Role::Thickness => format!(
            "W_XX-ESA,SMOS_CS2*,NH_{{12P5KM,25KM}}_EASE2_{}_{}_{{r,o}}_{{v300,v206}}_*_l4sit.nc or one up to {oldest_thickness_days} days older",
            on(-3),
            on(3)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONCENTRATION: &str = "ice_conc_nh_polstere-100_amsr2_202603101200.nc";
    const DRIFT_FINAL: &str = "ice_drift_nh_polstere-625_multi-oi_202603091200-202603111200.nc";
    const DRIFT_PROVISIONAL: &str = "ice_drift_nh_polstere-625_multi-oi_202603081200-202603101200.nc";

    fn thickness(start: &str, end: &str) -> String {
        format!("W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{start}_{end}_o_v300_01_l4sit.nc")
    }

    fn choose(names: &[&str]) -> Result<Selected, SourceError> {
        let folder = Path::new("/in");
        let listed: Vec<Listed> = names
            .iter()
            .map(|name| Listed { name: (*name).to_owned(), path: folder.join(name), size_bytes: 1 })
            .collect();
        select(&listed, folder, "2026-03-10".parse().unwrap(), 10)
    }

    #[test]
    fn the_files_centred_on_the_day_make_it_final() {
        let (own, older) = (thickness("20260307", "20260313"), thickness("20260306", "20260312"));
        let selected =
            choose(&[CONCENTRATION, DRIFT_PROVISIONAL, DRIFT_FINAL, &older, &own, "readme.txt"]).unwrap();
        assert!(selected.settled);
        assert_eq!(selected.concentration.path, Path::new("/in").join(CONCENTRATION));
        assert_eq!(selected.drift.path, Path::new("/in").join(DRIFT_FINAL));
        assert_eq!(selected.thickness.path, Path::new("/in").join(own));
    }

    #[test]
    fn older_drift_or_thickness_makes_it_provisional_each_by_itself() {
        let (own, older) = (thickness("20260307", "20260313"), thickness("20260302", "20260308"));
        let selected = choose(&[CONCENTRATION, DRIFT_PROVISIONAL, &own]).unwrap();
        assert!(!selected.settled);
        assert_eq!(selected.drift.known.to_string(), DRIFT_PROVISIONAL);
        assert_eq!(selected.thickness.known.to_string(), own);
        let selected = choose(&[CONCENTRATION, DRIFT_FINAL, &older]).unwrap();
        assert!(!selected.settled);
        assert_eq!(selected.drift.known.to_string(), DRIFT_FINAL);
        assert_eq!(selected.thickness.known.to_string(), older);
    }

    #[test]
    fn of_several_concentrations_the_newest_sensor_is_taken() {
        let own = thickness("20260307", "20260313");
        let (amsr3, multi) =
            (CONCENTRATION.replace("amsr2", "amsr3"), CONCENTRATION.replace("amsr2", "multi"));
        let selected = choose(&[&amsr3, CONCENTRATION, &multi, DRIFT_FINAL, &own]).unwrap();
        assert_eq!(selected.concentration.known.to_string(), amsr3);
    }

    #[test]
    fn thickness_may_be_ten_days_old_and_not_eleven_nor_from_the_future() {
        let ten_days_old = thickness("20260225", "20260303");
        assert!(choose(&[CONCENTRATION, DRIFT_FINAL, &ten_days_old]).is_ok());
        for other in [thickness("20260224", "20260302"), thickness("20260308", "20260314")] {
            let error = choose(&[CONCENTRATION, DRIFT_FINAL, &other]).unwrap_err();
            assert!(error.is_not_there_yet());
        }
    }

    #[test]
    fn everything_that_is_lacking_is_named_with_day_folder_and_remedy() {
        let error = choose(&["ice_conc_nh_polstere-100_amsr2_202603091200.nc"]).unwrap_err();
        assert!(error.is_not_there_yet());
        let message = error.to_string();
        for part in [
            "2026-03-10",
            "/in",
            "no concentration (ice_conc_nh_polstere-100_{amsr3,amsr2,multi}_202603101200.nc)",
            "no thickness (W_XX-ESA,SMOS_CS2*,NH_{12P5KM,25KM}_EASE2_20260307_20260313_",
            DRIFT_FINAL,
            DRIFT_PROVISIONAL,
            "wait until the providers deliver",
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }
}
