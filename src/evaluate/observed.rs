//! Days without a truth: what must hold of members whatever the truth is.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, Zip};
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError, Observed, ObservedArchive};
use crate::prepare;
use crate::progress::{Bar, Stages};
use crate::score::{
    self, CLASSES_M, ClassTally, CoarseTally, HoleTally, SpectraTally, Tally, block_means, bump,
};
use crate::time::ProductDay;

use super::forecast::Forecast;
use super::scenes::{self, SceneFields};
use super::store::{self, Store};
use super::{CELL_KM, EvaluateError, EvaluateOptions, SHOWN};

/// Side of the blocks that the daily change is measured on, km.
const BLOCK_KM: f64 = 90.0;

/// What days without a truth showed, as it stands in `metrics.json`.
#[derive(Debug, Serialize)]
pub struct ObservedRecord {
    /// Folder of the archive.
    pub archive: String,
    /// The days with where they come from.
    pub days: Vec<(String, String)>,
    /// First row and column, rows and columns of what was drawn.
    pub place: [usize; 4],
    /// Gradient of the synthetic truth's anomaly at the same holes over that far from them; where an archive of whole fields of the same
    /// shape was given.
    pub truth_hole_gradient: Option<f64>,
    /// The rows.
    pub rows: Vec<ObservedRow>,
    /// The maps of the first days, row by row: day, then name and picture.
    #[serde(skip)]
    pub(super) maps: Vec<Vec<DayMaps>>,
}

/// The maps of one row on one day.
#[derive(Debug)]
pub(super) struct DayMaps {
    pub(super) day: String,
    pub(super) pictures: Vec<(&'static str, Vec<u8>)>,
}

/// A network with one sampler on days without a truth.
#[derive(Debug, Serialize)]
pub struct ObservedRow {
    /// Its name.
    pub name: String,
    /// The measures of all days together, and of each day (of each pair of days for the daily change).
    pub measures: BTreeMap<&'static str, ObservedMeasure>,
    /// Wavelengths, km.
    pub wavelengths_km: Vec<f64>,
    /// Mean power density of the members, m^2 km^2.
    pub members: Vec<f64>,
    /// The same of the low-resolution field.
    pub low: Vec<f64>,
}

/// A measure without a truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservedMeasure {
    /// Of all days.
    pub value: f64,
    /// Of each.
    pub by_day: Vec<Option<f64>>,
}

/// What one row showed on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    classes: Vec<ClassTally>,
    coarse: CoarseTally,
    spectra: SpectraTally,
    hole: HoleTally,
    members: usize,
    /// Means over blocks: of the members' mean, of the variance between the members' own block means, of the low resolution.
    mean: Vec<Option<f64>>,
    variance: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
}

/// A day of an archive without a truth, cut.
struct DayFields {
    scene: SceneFields,
    filled: Array2<bool>,
    origin: String,
}

impl DayFields {
    /// Reads a day and cuts out of it a place that was chosen on a first day of so many rows and columns.
    fn read(
        archive: &ObservedArchive,
        (index, day): (usize, ProductDay),
        first: (usize, usize),
        place: [usize; 4],
    ) -> Result<Self, ArchiveError> {
        let fields = Self::of(day, &archive.read(index)?);
        let found = fields.scene.mask.dim();
        if found != first {
            return Err(ArchiveError::OtherGrid { day, found, first });
        }
        Ok(fields.cut(place))
    }

    fn of(day: ProductDay, observed: &Observed) -> Self {
        let deformation = Zip::from(&observed.divergence_per_day)
            .and(&observed.shear_per_day)
            .map_collect(|divergence, shear| divergence.hypot(*shear));
        let (concentration, low) = (&observed.concentration, &observed.effective_thickness_m);
        let mask = prepare::mask(concentration, low);
        let low_m =
            Zip::from(low).and(&mask).map_collect(|&value, &inside| if inside { value } else { f32::NAN });
        let filled = Zip::from(&observed.filled_drift)
            .and(&observed.filled_thickness)
            .map_collect(|&drift, &thickness| drift || thickness);
        // Where nothing is known the low resolution stands in for the truth: what is read does not depend on it.
        let context = prepare::context(concentration, low, &deformation, &mask);
        let scene = SceneFields { day, context, truth_m: low_m.clone(), low_m, mask };
        Self { scene, filled, origin: observed.origin.clone() }
    }

    fn cut(&self, [row, column, rows, columns]: [usize; 4]) -> Self {
        let window = ndarray::s![row..row + rows, column..column + columns];
        Self {
            scene: self.scene.cut([row, column], [rows, columns]),
            filled: self.filled.slice(window).to_owned(),
            origin: self.origin.clone(),
        }
    }
}

/// Draws members of every row on every day, and measures what must hold of them.
pub(super) fn look(
    (archive, folder): (&ObservedArchive, &Path),
    truth: Option<&Archive>,
    rows: &[Forecast<'_>],
    options: &EvaluateOptions,
    kept: &Store,
    stages: &mut Stages<'_>,
) -> Result<ObservedRecord, EvaluateError> {
    let days: Vec<ProductDay> = archive.days().take(options.observed_days.unwrap_or(usize::MAX)).collect();
    let first = DayFields::of(days[0], &archive.read(0)?);
    let (place, grid) = (place(&first, options)?, first.scene.mask.dim());
    let read = |index: usize| DayFields::read(archive, (index, days[index]), grid, place);
    let mut record = ObservedRecord {
        archive: folder.display().to_string(),
        days: Vec::new(),
        place,
        truth_hole_gradient: None,
        rows: Vec::new(),
        maps: Vec::new(),
    };
    let mut at_holes = HoleTally::default();
    for (index, day) in days.iter().enumerate() {
        let fields = read(index)?;
        record.days.push((day.to_string(), fields.origin.clone()));
        if let Some(truth) = truth {
            at_holes.add(&truth_at_holes(truth, index, &fields, place)?);
        }
    }
    record.truth_hole_gradient = at_holes.ratio();
    let classes = match truth {
        Some(truth) => stages.run("truth", truth.days().len(), |bar| truth_by_class(truth, bar))?,
        None => Vec::new(),
    };
    for forecast in rows {
        let calls = forecast.calls(options.members);
        let name = format!("{}, real days", forecast.name());
        tracing::info!(row = name, days = days.len(), "row begins");
        let (seen, maps) = stages.run(&name, calls * days.len(), |bar| {
            let (mut seen, mut maps) = (Vec::new(), Vec::new());
            for (index, day) in days.iter().enumerate() {
                let fields = read(index)?;
                let key = Store::key_of_observed(forecast, &fields.scene, &fields.filled, options);
                let shown = index < SHOWN;
                let found = if let Some(found) = kept.find(&key, shown) {
                    found
                } else {
                    let members = forecast.members(&fields.scene, options, bar)?;
                    let found = see(&fields, &members);
                    if shown {
                        kept.keep_pictures(&key, &fields.scene, &members)?;
                    }
                    kept.keep(&key, &found)?;
                    found
                };
                if shown {
                    let mut pictures = store::shown_of_observed(&fields.scene)?;
                    pictures.extend(kept.pictures(&key)?);
                    maps.push(DayMaps { day: day.to_string(), pictures });
                }
                seen.push(found);
                bar.jump_to(calls * (index + 1));
            }
            Ok::<_, EvaluateError>((seen, maps))
        })?;
        record.rows.push(row(forecast.name(), &days, &seen, &classes));
        record.maps.push(maps);
    }
    Ok(record)
}

/// The one place, on all days, that is drawn.
fn place(first: &DayFields, options: &EvaluateOptions) -> Result<[usize; 4], EvaluateError> {
    let (rows, columns) = first.scene.mask.dim();
    let Some(side) = options.observed_window else { return Ok([0, 0, rows, columns]) };
    let corner = (side <= rows && side <= columns)
        .then(|| scenes::corner(&first.scene.mask, [side, side], &format!("observed|{}", options.seed)));
    let corner = corner.flatten().ok_or_else(|| {
        EvaluateError::Option(format!(
            "--observed-window {side}: there is no such window that is half ice on the first day; give a smaller one"
        ))
    })?;
    Ok([corner[0], corner[1], side, side])
}

/// The synthetic truth's gradients where a real day has holes.
fn truth_at_holes(
    archive: &Archive,
    index: usize,
    fields: &DayFields,
    place: [usize; 4],
) -> Result<HoleTally, EvaluateError> {
    let count = archive.days().len();
    let day = archive.days().nth(index % count);
    let Some(day) = day else { return Ok(HoleTally::default()) };
    let truth = SceneFields::of(day, &archive.read(index % count)?.0);
    let [row, column, rows, columns] = place;
    if truth.mask.nrows() < row + rows || truth.mask.ncols() < column + columns {
        return Ok(HoleTally::default());
    }
    let truth = truth.cut([row, column], [rows, columns]);
    let mask = Zip::from(&truth.mask).and(&fields.scene.mask).map_collect(|&one, &other| one && other);
    let anomaly = Zip::from(&truth.truth_m)
        .and(&truth.low_m)
        .and(&mask)
        .map_collect(|&truth, &low, &inside| if inside { truth - low } else { f32::NAN });
    Ok(HoleTally::of(&anomaly, &fields.filled, &mask, CELL_KM))
}

/// How much the truth varies by thickness, on whole fields of all days: one series of synthetic ice may be three times as rough in
/// thick ice as another, so that the few windows that are scored say little about what is usual.
fn truth_by_class(archive: &Archive, bar: &Bar) -> Result<Vec<ClassTally>, EvaluateError> {
    let mut sum = Tally::default();
    for (index, day) in archive.days().enumerate() {
        let truth = SceneFields::of(day, &archive.read(index)?.0);
        sum.add(&Tally { classes: ClassTally::of(&truth.view(), &[]), ..Tally::default() });
        bar.step();
    }
    Ok(sum.classes)
}

/// What members show on a day.
fn see(fields: &DayFields, members: &[Array2<f32>]) -> Seen {
    let scene = &fields.scene;
    let Tally { classes, coarse, spectra, .. } = score::tally(&scene.view(), members, false, &mut || 0.5);
    let mut hole = HoleTally::default();
    let side = (BLOCK_KM / CELL_KM).round() as usize;
    let of_members: Vec<Vec<Option<f64>>> = members.iter().map(|member| block_means(member, side)).collect();
    for member in members {
        hole.add(&HoleTally::of(&(member - &scene.low_m), &fields.filled, &scene.mask, CELL_KM));
    }
    let count = members.len() as f64;
    let over_members = |of: &dyn Fn(&[f64]) -> f64| -> Vec<Option<f64>> {
        (0..of_members[0].len())
            .map(|block| {
                let values: Option<Vec<f64>> = of_members.iter().map(|member| member[block]).collect();
                values.map(|values| of(&values))
            })
            .collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    Seen {
        classes,
        coarse,
        spectra,
        hole,
        members: members.len(),
        mean: over_members(&mean),
        variance: over_members(&|values| {
            let mean = mean(values);
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0)
        }),
        low: block_means(&scene.low_m, side),
    }
}

/// Sums over the blocks of two days: squared change of the mean beyond what the members' number explains, squared change of the input.
fn change(before: &Seen, after: &Seen) -> [f64; 2] {
    let members = before.members as f64;
    let blocks = before.mean.iter().zip(&after.mean).zip(before.low.iter().zip(&after.low));
    let chance = before.variance.iter().zip(&after.variance);
    blocks.zip(chance).fold([0.0; 2], |[mean, low], ((means, lows), variances)| {
        let difference = |(before, after): (&Option<f64>, &Option<f64>)| Some((*after)? - (*before)?);
        match (difference(means), difference(lows), variances) {
            (Some(of_mean), Some(of_low), (Some(one), Some(other))) => {
                [mean + of_mean.powi(2) - (one + other) / members, low + of_low.powi(2)]
            }
            _ => [mean, low],
        }
    })
}

fn ratio_of_changes([mean, low]: [f64; 2]) -> Option<f64> {
    (low > 0.0).then(|| (mean.max(0.0) / low).sqrt())
}

fn row(name: String, days: &[ProductDay], seen: &[Seen], truth: &[ClassTally]) -> ObservedRow {
    let mut measures = BTreeMap::new();
    let all = pooled(seen);
    let mut tell = |name: &'static str, of: &dyn Fn(&Seen) -> Option<f64>| {
        if let Some(value) = of(&all) {
            measures.insert(name, ObservedMeasure { value, by_day: seen.iter().map(of).collect() });
        }
    };
    tell("seen_inner_m", &|seen| seen.coarse.seen.inner_m());
    tell("seen_edge_m", &|seen| seen.coarse.seen.edge_m());
    tell("coarse_inner_m", &|seen| seen.coarse.close.inner_m());
    tell("coarse_edge_m", &|seen| seen.coarse.close.edge_m());
    tell("hole_gradient", &|seen| seen.hole.ratio());
    tell("bump", &|seen| bump(&seen.spectra.members, &seen.spectra.wavelengths_km()));
    tell("bump_of_low", &|seen| bump(&seen.spectra.low, &seen.spectra.wavelengths_km()));
    let names = [
        ("deviation_m", "deviation_over_truth"),
        ("deviation_m_0.3_0.8", "deviation_over_truth_0.3_0.8"),
        ("deviation_m_0.8_1.3", "deviation_over_truth_0.8_1.3"),
        ("deviation_m_1.3_2", "deviation_over_truth_1.3_2"),
        ("deviation_m_2_3", "deviation_over_truth_2_3"),
        ("deviation_m_3_5", "deviation_over_truth_3_5"),
    ];
    for (class, (name, over_truth)) in names.into_iter().enumerate().take(CLASSES_M.len()) {
        let deviation = |seen: &Seen| seen.classes.get(class)?.deviation_m();
        tell(name, &deviation);
        let of_truth = truth.get(class).and_then(ClassTally::truth_deviation_m);
        tell(over_truth, &|seen| Some(deviation(seen)? / of_truth?));
    }
    // Only days that follow each other.
    let pairs = days.windows(2).zip(seen.windows(2)).filter(|(days, _)| days[1].days_since(days[0]) == 1);
    let changes: Vec<[f64; 2]> = pairs.map(|(_, seen)| change(&seen[0], &seen[1])).collect();
    let sum = changes.iter().fold([0.0; 2], |sum, change| [sum[0] + change[0], sum[1] + change[1]]);
    if let Some(value) = ratio_of_changes(sum) {
        let by_day = changes.into_iter().map(ratio_of_changes).collect();
        measures.insert("daily_change", ObservedMeasure { value, by_day });
    }
    let windows = all.spectra.windows.max(1.0);
    ObservedRow {
        name,
        measures,
        wavelengths_km: if all.spectra.windows > 0.0 { all.spectra.wavelengths_km() } else { Vec::new() },
        members: all.spectra.members.iter().map(|power| power / windows).collect(),
        low: all.spectra.low.iter().map(|power| power / windows).collect(),
    }
}

/// The sums of all days; what does not add up stays that of the first.
fn pooled(seen: &[Seen]) -> Seen {
    let mut all = seen[0].clone();
    for day in &seen[1..] {
        let mut sum =
            Tally { classes: all.classes, coarse: all.coarse, spectra: all.spectra, ..Tally::default() };
        sum.add(&Tally {
            members: day.members,
            classes: day.classes.clone(),
            coarse: day.coarse.clone(),
            spectra: day.spectra.clone(),
            ..Tally::default()
        });
        (all.classes, all.coarse, all.spectra) = (sum.classes, sum.coarse, sum.spectra);
        all.hole.add(&day.hole);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::write_observed;

    #[test]
    fn a_day_on_another_grid_than_the_first_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let days: [ProductDay; 2] = ["2026-03-01", "2026-03-02"].map(|day| day.parse().unwrap());
        for (day, rows) in days.into_iter().zip([8, 9]) {
            let field = Array2::from_elem((rows, 8), 1.0_f32);
            let observed = Observed {
                concentration: field.clone(),
                effective_thickness_m: field.clone(),
                divergence_per_day: field.clone(),
                shear_per_day: field.clone(),
                filled_drift: field.mapv(|_| false),
                filled_thickness: field.mapv(|_| false),
                origin: "even numbers".into(),
            };
            write_observed(folder.path(), day, &observed).unwrap();
        }
        let archive = ObservedArchive::open(folder.path()).unwrap();
        let read = |index: usize| DayFields::read(&archive, (index, days[index]), (8, 8), [0, 0, 8, 8]);
        assert_eq!(read(0).unwrap().scene.mask.dim(), (8, 8));
        let said = read(1).err().unwrap().to_string();
        assert!(said.contains("2026-03-02") && said.contains("(9, 8)") && said.contains("(8, 8)"), "{said}");
    }

    fn seen(mean: f64, variance: f64, low: f64) -> Seen {
        Seen {
            classes: Vec::new(),
            coarse: CoarseTally::default(),
            spectra: SpectraTally::default(),
            hole: HoleTally::default(),
            members: 10,
            mean: vec![Some(mean), None, Some(1.0)],
            variance: vec![Some(variance), None, None],
            low: vec![Some(low), Some(1.0), Some(5.0)],
        }
    }

    #[test]
    fn what_members_must_differ_by_is_no_change() {
        // 0.5^2 of which (0.4 + 0.4) / 10 is chance, over 0.4^2.
        let [mean, low] = change(&seen(1.0, 0.4, 1.0), &seen(1.5, 0.4, 1.4));
        assert!((mean - 0.17).abs() < 1e-12 && (low - 0.16).abs() < 1e-12, "{mean} {low}");
        assert!((ratio_of_changes([0.64, 0.16]).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(ratio_of_changes([0.1, 0.0]), None);
        assert_eq!(ratio_of_changes([-0.1, 1.0]), Some(0.0));
    }

    #[test]
    fn days_that_do_not_follow_each_other_have_no_change() {
        let day: ProductDay = "2026-03-01".parse().unwrap();
        let both = [seen(1.0, 0.0, 1.0), seen(1.5, 0.0, 1.4)];
        let of = |gap: i64| row("a".into(), &[day, day.plus_days(gap)], &both, &[]);
        assert!((of(1).measures["daily_change"].value - 1.25).abs() < 1e-9);
        assert!(!of(2).measures.contains_key("daily_change"));
    }
}
