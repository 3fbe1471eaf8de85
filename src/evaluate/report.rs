//! The report: one page that holds everything it shows.

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;

use crate::plot::{Axis, Chart, Curve, Stroke};
use crate::score::{Estimate, Regimes};

use super::observed::{ObservedRecord, ObservedRow};
use super::record::{ArchiveRecord, Evaluation, Row, SpectraRecord};

const TEMPLATE: &str = include_str!("report.html");
const WAVELENGTH: &str = "wavelength, km";
const POWER: &str = "power density, m\u{b2} km\u{b2}";

/// A column of the table.
struct Column {
    /// Name of the measure or comparison.
    name: &'static str,
    title: &'static str,
    hint: &'static str,
    /// Decimals that are shown.
    decimals: usize,
    /// What issue 5 wants of the default checkpoint.
    wanted: Option<[f64; 2]>,
}

const COLUMNS: [Column; 23] = [
    column("fair_mean_rmse_m", "RMSE of the mean, m", "of endlessly many members", 4, None),
    column("fair_rmse_over_regression", "… over regression", "at most 1.03", 3, Some([0.0, 1.03])),
    column("mean_bias_m", "bias, m", "mean minus truth", 4, None),
    column("fair_crps_m", "fair CRPS, m", "the smaller, the better", 4, None),
    column("crps_over_low", "… over low resolution", "at most 0.72", 3, Some([0.0, 0.72])),
    column("crps_over_random_field", "… over random field", "at most 0.92", 3, Some([0.0, 0.92])),
    column("spread_skill", "spread / skill", "0.9 to 1.1", 3, Some([0.9, 1.1])),
    column("deviation_ratio", "anomaly std ratio", "0.95 to 1.05", 3, Some([0.95, 1.05])),
    column("deviation_ratio_0.3_0.8", "0.3–0.8 m", "0.85 to 1.15", 2, Some([0.85, 1.15])),
    column("deviation_ratio_0.8_1.3", "0.8–1.3 m", "0.85 to 1.15", 2, Some([0.85, 1.15])),
    column("deviation_ratio_1.3_2", "1.3–2 m", "0.85 to 1.15", 2, Some([0.85, 1.15])),
    column("deviation_ratio_2_3", "2–3 m", "0.85 to 1.15", 2, Some([0.85, 1.15])),
    column("deviation_ratio_3_5", "3–5 m", "0.85 to 1.15", 2, Some([0.85, 1.15])),
    column("fine_scale_bias", "power 6–20 km", "0.85 to 1.15", 3, Some([0.85, 1.15])),
    column("medium_scale_ratio", "power 20–100 km", "1 is right", 3, None),
    column("rank_deviation", "worst rank", "at most 0.25", 2, Some([0.0, 0.25])),
    column("rank_deviation_thin", "worst rank, thin", "at most 0.25", 2, Some([0.0, 0.25])),
    column("seen_inner_m", "product sees, m", "at most 0.02", 4, Some([0.0, 0.02])),
    column("seen_edge_m", "… near edges, m", "at most 0.04", 4, Some([0.0, 0.04])),
    column("coarse_inner_m", "26 km means, m", "as the truth", 4, None),
    column("coarse_edge_m", "… near edges, m", "as the truth", 4, None),
    column("similarity", "SSIM", "1 is the same", 3, None),
    column("low_similarity", "SSIM of low", "1 is the same", 3, None),
];

const fn column(
    name: &'static str,
    title: &'static str,
    hint: &'static str,
    decimals: usize,
    wanted: Option<[f64; 2]>,
) -> Column {
    Column { name, title, hint, decimals, wanted }
}

#[derive(Serialize)]
struct Cell {
    value: String,
    error: String,
    /// A class of the style sheet: within what is wanted, or not.
    verdict: &'static str,
}

#[derive(Serialize)]
struct TableRow<'a> {
    name: &'a str,
    seconds: String,
    calls: String,
    cells: Vec<Option<Cell>>,
}

#[derive(Serialize)]
struct Block<'a> {
    name: &'a str,
    meaning: &'a str,
    checkpoint: Option<Vec<(&'static str, String)>>,
    regimes: Vec<String>,
    charts: Vec<String>,
    scenes: Vec<Maps>,
    open: bool,
}

#[derive(Serialize)]
struct Maps {
    day: String,
    thickness_m: String,
    spread_m: String,
    bars: [String; 2],
    pictures: Vec<Picture>,
}

#[derive(Serialize)]
struct Page<'a> {
    version: &'static str,
    archive: Option<Ground<'a>>,
    members: usize,
    seed: u64,
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<TableRow<'a>>,
    overview: Vec<String>,
    blocks: Vec<Block<'a>>,
    observed: Option<ObservedPart<'a>>,
}

/// An archive with a truth.
#[derive(Serialize)]
struct Ground<'a> {
    said: Vec<(&'static str, &'a str)>,
    scenes: usize,
    shape: String,
}

/// Days without a truth.
#[derive(Serialize)]
struct ObservedPart<'a> {
    archive: &'a str,
    days: &'a [(String, String)],
    place: String,
    truth_hole_gradient: Option<String>,
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<(&'a str, Vec<Option<Cell>>)>,
    charts: Vec<String>,
    maps: Vec<ObservedMaps<'a>>,
}

/// Name, source of the picture, and whether it is a zoom.
type Picture = (String, String, bool);

/// The maps of a row: days with pictures.
#[derive(Serialize)]
struct ObservedMaps<'a> {
    name: &'a str,
    days: Vec<(&'a str, Vec<Picture>)>,
}

const OBSERVED_COLUMNS: [Column; 12] = [
    column("seen_inner_m", "product sees, m", "at most 0.02", 4, Some([0.0, 0.02])),
    column("seen_edge_m", "… near edges, m", "at most 0.04", 4, Some([0.0, 0.04])),
    column("coarse_inner_m", "26 km means, m", "as synthetic truth", 4, None),
    column("coarse_edge_m", "… near edges, m", "as synthetic truth", 4, None),
    column(
        "deviation_over_truth_0.3_0.8",
        "anomaly std, 0.3–0.8 m",
        "over synthetic, 0.8 to 1.25",
        2,
        Some([0.8, 1.25]),
    ),
    column("deviation_over_truth_0.8_1.3", "0.8–1.3 m", "0.8 to 1.25", 2, Some([0.8, 1.25])),
    column("deviation_over_truth_1.3_2", "1.3–2 m", "0.8 to 1.25", 2, Some([0.8, 1.25])),
    column("deviation_over_truth_2_3", "2–3 m", "0.8 to 1.25", 2, Some([0.8, 1.25])),
    column("deviation_over_truth_3_5", "3–5 m", "0.8 to 1.25", 2, Some([0.8, 1.25])),
    column("bump", "bump, 60–90 km", "at most 1.2", 3, Some([0.0, 1.2])),
    column("hole_gradient", "gradient at holes", "as the truth's there, within 20 %", 3, None),
    column("daily_change", "daily change / input's", "at most 1.2", 3, Some([0.0, 1.2])),
];

/// The page.
pub(super) fn page(evaluation: &Evaluation) -> Result<String, Error> {
    let used: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| evaluation.rows.iter().any(|row| estimate(row, column).is_some()))
        .collect();
    let first_network = evaluation.rows.iter().position(|row| row.sampler.is_some());
    let page = Page {
        version: evaluation.version,
        archive: evaluation.archive.as_ref().map(ground),
        members: evaluation.members,
        seed: evaluation.seed,
        columns: used.iter().map(|column| (column.title, column.hint)).collect(),
        rows: evaluation.rows.iter().map(|row| table_row(row, &used)).collect(),
        overview: overview(&evaluation.rows),
        blocks: (0..evaluation.rows.len())
            .map(|number| block(evaluation, number, first_network == Some(number)))
            .collect(),
        observed: evaluation.observed.as_ref().map(observed),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("report", TEMPLATE)?;
    environment.get_template("report")?.render(Value::from(Serde(page)))
}

fn ground(archive: &ArchiveRecord) -> Ground<'_> {
    let shapes = archive.scenes.iter().map(|scene| format!("{} x {} cells", scene.shape[0], scene.shape[1]));
    let mut shapes: Vec<String> = shapes.collect();
    shapes.dedup();
    Ground {
        said: vec![
            ("archive", &archive.folder),
            ("data", &archive.provenance.origin),
            ("low resolution", &archive.provenance.degradation),
            ("thickness", &archive.provenance.thickness_definition),
        ],
        scenes: archive.scenes.len(),
        shape: shapes.join(", "),
    }
}

fn observed(record: &ObservedRecord) -> ObservedPart<'_> {
    let used: Vec<&Column> = OBSERVED_COLUMNS
        .iter()
        .filter(|column| record.rows.iter().any(|row| row.measures.contains_key(column.name)))
        .collect();
    let cell = |row: &ObservedRow, column: &Column| {
        let found = row.measures.get(column.name)?;
        let wanted = match (column.name, record.truth_hole_gradient) {
            ("hole_gradient", Some(truth)) => Some([0.8 * truth, 1.2 * truth]),
            _ => column.wanted,
        };
        let days: Vec<f64> = found.by_day.iter().flatten().copied().collect();
        Some(Cell {
            value: format!("{:.1$}", found.value, column.decimals),
            error: format!("{:.1$}", deviation(&days), column.decimals),
            verdict: wanted.map_or("", |wanted| verdict(wanted, found.value)),
        })
    };
    let [row, column, rows, columns] = record.place;
    let maps = record.rows.iter().zip(&record.maps).map(|(row, days)| ObservedMaps {
        name: &row.name,
        days: days.iter().map(|day| (day.day.as_str(), zooms_last(day.pictures.iter()))).collect(),
    });
    ObservedPart {
        archive: &record.archive,
        days: &record.days,
        place: format!("{rows} x {columns} cells from row {row}, column {column}"),
        truth_hole_gradient: record.truth_hole_gradient.map(|ratio| format!("{ratio:.3}")),
        columns: used.iter().map(|column| (column.title, column.hint)).collect(),
        rows: record
            .rows
            .iter()
            .map(|row| (row.name.as_str(), used.iter().map(|column| cell(row, column)).collect()))
            .collect(),
        charts: observed_chart(record).iter().map(Chart::svg).collect(),
        maps: maps.collect(),
    }
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0)).sqrt()
}

fn verdict([low, high]: [f64; 2], value: f64) -> &'static str {
    if (low..=high).contains(&value) { "held" } else { "missed" }
}

fn observed_chart(record: &ObservedRecord) -> Option<Chart> {
    let rows: Vec<_> = record.rows.iter().filter(|row| !row.wavelengths_km.is_empty()).collect();
    let first = rows.first()?;
    let curve = |name: &str, colour: usize, stroke: Stroke, powers: &[f64]| Curve {
        name: name.to_owned(),
        colour,
        stroke,
        points: first.wavelengths_km.iter().copied().zip(powers.iter().copied()).collect(),
        band: Vec::new(),
    };
    let mut curves = vec![curve("low resolution", 5, Stroke::Dashed, &first.low)];
    curves.extend(
        rows.iter().enumerate().map(|(number, row)| curve(&row.name, number + 1, Stroke::Line, &row.members)),
    );
    let powers = rows.iter().flat_map(|row| &row.members);
    let [lowest, highest] =
        powers.fold([f64::INFINITY, 0.0], |ends: [f64; 2], power| [ends[0].min(*power), ends[1].max(*power)]);
    Some(Chart {
        title: "Power spectra of members on real days".into(),
        x: wavelengths(),
        y: Axis { range: Some([0.3 * lowest, 3.0 * highest]), ..Axis::logarithmic(POWER) },
        curves,
        marks: vec![(90.0, "a bump".into()), (60.0, "would be here".into())],
        reference: None,
    })
}

/// Pictures as they stand in the page, whole maps first.
fn zooms_last<'a>(pictures: impl Iterator<Item = &'a (&'static str, Vec<u8>)>) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = pictures
        .map(|(name, bytes)| {
            let zoom = name.strip_prefix("zoom ");
            (zoom.unwrap_or(name).to_owned(), inline(bytes), zoom.is_some())
        })
        .collect();
    pictures.sort_by_key(|(_, _, zoom)| *zoom);
    pictures
}

fn inline(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(bytes))
}

fn estimate<'a>(row: &'a Row, column: &Column) -> Option<&'a Estimate> {
    row.measures.get(column.name).or_else(|| row.comparisons.get(column.name))
}

fn table_row<'a>(row: &'a Row, columns: &[&Column]) -> TableRow<'a> {
    let cell = |column: &&Column| {
        let found = estimate(row, column)?;
        let decimals = column.decimals;
        let verdict = match column.wanted {
            // The baselines are there to be compared with.
            Some([low, high]) if row.sampler.is_some() => {
                if (low..=high).contains(&found.value) {
                    "held"
                } else {
                    "missed"
                }
            }
            _ => "",
        };
        Some(Cell {
            value: format!("{:.decimals$}", found.value),
            error: format!("{:.decimals$}", found.standard_error),
            verdict,
        })
    };
    TableRow {
        name: &row.name,
        seconds: if row.checkpoint.is_some() {
            format!("{:.2}", row.seconds_per_member)
        } else {
            String::new()
        },
        calls: match (&row.checkpoint, row.sampler) {
            (Some(_), Some(sampler)) => sampler.steps.to_string(),
            (Some(_), None) => "1".into(),
            _ => String::new(),
        },
        cells: columns.iter().map(cell).collect(),
    }
}

/// Charts of all rows together.
fn overview(rows: &[Row]) -> Vec<String> {
    let curve = |number: usize, row: &Row, points: Vec<(f64, f64)>| Curve {
        name: row.name.clone(),
        colour: number,
        stroke: if row.checkpoint.is_some() { Stroke::Line } else { Stroke::Dashed },
        points,
        band: Vec::new(),
    };
    let with_members = || rows.iter().enumerate().filter(|(_, row)| !row.spectra.wavelengths_km.is_empty());
    let power = Chart {
        title: "How much of the truth's detail there is, by scale".into(),
        x: wavelengths(),
        y: Axis { range: Some([0.01, 3.0]), ..Axis::logarithmic("power of a member / truth") },
        curves: with_members()
            .map(|(number, row)| curve(number, row, middle(&row.spectra.wavelengths_km, &row.spectra.ratio)))
            .collect(),
        reference: Some([(6.0, 1.0), (384.0, 1.0)]),
        ..Chart::default()
    };
    let missed = Chart {
        title: "What the mean of the members still misses, by scale".into(),
        x: wavelengths(),
        y: Axis { range: Some([0.0, 1.4]), ..Axis::linear("error power of the mean / truth") },
        curves: with_members()
            .map(|(number, row)| {
                let spectra = &row.spectra;
                let share = over(&spectra.fair_mean_error, &spectra.truth);
                curve(number, row, spectra.wavelengths_km.iter().copied().zip(share).collect())
            })
            .collect(),
        reference: Some([(6.0, 1.0), (384.0, 1.0)]),
        ..Chart::default()
    };
    let classes = ["0.3_0.8", "0.8_1.3", "1.3_2", "2_3", "3_5"];
    let centres = [0.55, 1.05, 1.65, 2.5, 4.0];
    let deviations = Chart {
        title: "Variability by thickness".into(),
        x: Axis::linear("low-resolution thickness, m"),
        y: Axis { range: Some([0.0, 1.6]), ..Axis::linear("anomaly std of a member / truth") },
        curves: rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.sampler.is_some())
            .map(|(number, row)| {
                let points = classes.iter().zip(centres).filter_map(|(class, centre)| {
                    let name = format!("deviation_ratio_{class}");
                    Some((centre, row.measures.get(name.as_str())?))
                });
                let points: Vec<_> = points.collect();
                Curve {
                    band: points.iter().map(|(x, found)| (*x, found.low, found.high)).collect(),
                    stroke: Stroke::Dotted,
                    ..curve(number, row, points.iter().map(|(x, found)| (*x, found.value)).collect())
                }
            })
            .collect(),
        reference: Some([(0.0, 1.0), (9.0, 1.0)]),
        ..Chart::default()
    };
    [power, missed, deviations].iter().filter(|chart| !chart.curves.is_empty()).map(Chart::svg).collect()
}

fn block(evaluation: &Evaluation, number: usize, open: bool) -> Block<'_> {
    let row = &evaluation.rows[number];
    let mut charts = Vec::new();
    if !row.spectra.wavelengths_km.is_empty() {
        charts.push(spectra_chart(&row.spectra, row.regimes).svg());
        charts.push(error_chart(&row.spectra, row.regimes).svg());
    }
    if row.ranks.len() > 2 {
        charts.push(rank_chart("Rank of the truth among the members", &row.ranks).svg());
        charts.push(rank_chart("The same for ice below 0.5 m", &row.ranks_thin).svg());
        charts.push(quantile_chart(row).svg());
        charts.push(event_chart(row).svg());
    }
    let maps = evaluation.shown.iter().zip(&evaluation.entries[number].pictures).map(|(shown, own)| {
        let pictures = zooms_last(shown.pictures.iter().chain(own));
        Maps {
            day: shown.day.clone(),
            thickness_m: format!("{:.1}", shown.bars[0].0),
            spread_m: format!("{:.2}", shown.bars[1].0),
            bars: [inline(&shown.bars[0].1), inline(&shown.bars[1].1)],
            pictures,
        }
    });
    Block {
        name: &row.name,
        meaning: &row.meaning,
        checkpoint: checkpoint(row),
        regimes: if row.sampler.is_some() { regime_texts(row.regimes) } else { Vec::new() },
        charts,
        scenes: maps.collect(),
        open,
    }
}

fn checkpoint(row: &Row) -> Option<Vec<(&'static str, String)>> {
    let checkpoint = row.checkpoint.as_ref()?;
    let info = &checkpoint.info;
    let training = &info.training;
    Some(vec![
        ("SHA-256", checkpoint.sha256.clone()),
        (
            "network",
            format!(
                "widths {:?}, block depth {}, {} parameters",
                info.network.widths, info.network.block_depth, checkpoint.parameters
            ),
        ),
        ("trained on", training.data.clone()),
        ("low resolution in training", info.degradation.clone()),
        (
            "training",
            format!(
                "{} steps of {} windows of {2} x {2} cells on {3}, seed {4}; noise loss {5:.4} on held-out days",
                training.steps,
                training.batch,
                training.window,
                training.device,
                training.seed,
                training.validation_noise_loss
            ),
        ),
        ("signal rates", format!("{} to {}", info.schedule.max_signal_rate, info.schedule.min_signal_rate)),
        ("run on", checkpoint.device.clone()),
    ])
}

fn regime_texts(regimes: Regimes) -> Vec<String> {
    let at = |km: Option<f64>| km.map(|km| format!("{km:.0} km"));
    [
        at(regimes.large_km).map(|km| {
            format!("Large scales, above {km}: the low-resolution field is the truth, up to a tenth of its power.")
        }),
        at(regimes.medium_km).map(|km| {
            format!("Medium scales, down to {km}: detail can be predicted; a single member errs by less than the truth's own power, the mean by half as much.")
        }),
        at(regimes.finest_km).map(|km| {
            format!("Fine scales, down to {km}: members look right and disagree; the mean fades. Finest scales, below: the mean knows nothing that the low-resolution field does not.")
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn wavelengths() -> Axis {
    Axis { reversed: true, range: Some([6.0, 384.0]), ..Axis::logarithmic(WAVELENGTH) }
}

fn middle(wavelengths: &[f64], band: &[[f64; 3]]) -> Vec<(f64, f64)> {
    wavelengths.iter().zip(band).map(|(km, [_, value, _])| (*km, *value)).collect()
}

fn over(of: &[[f64; 3]], under: &[[f64; 3]]) -> Vec<f64> {
    of.iter().zip(under).map(|(of, under)| of[1] / under[1]).collect()
}

fn marks(regimes: Regimes) -> Vec<(f64, String)> {
    let named = [
        (regimes.large_km, "large | medium"),
        (regimes.medium_km, "medium | fine"),
        (regimes.finest_km, "fine | finest"),
    ];
    named.into_iter().filter_map(|(km, word)| Some((km?, word.to_owned()))).collect()
}

fn spectra_chart(spectra: &SpectraRecord, regimes: Regimes) -> Chart {
    let curve = |name: &str, colour: usize, stroke: Stroke, band: &[[f64; 3]]| Curve {
        name: name.into(),
        colour,
        stroke,
        points: middle(&spectra.wavelengths_km, band),
        band: spectra
            .wavelengths_km
            .iter()
            .zip(band)
            .map(|(km, [low, _, high])| (*km, *low, *high))
            .collect(),
    };
    // The low-resolution field goes on falling where nobody looks.
    let ends = |values: &[[f64; 3]]| {
        values
            .iter()
            .fold([f64::INFINITY, 0.0], |ends: [f64; 2], band| [ends[0].min(band[0]), ends[1].max(band[2])])
    };
    let [[lowest, highest], [lowest_member, _]] = [ends(&spectra.truth), ends(&spectra.members)];
    let lowest = lowest.min(lowest_member.max(0.1 * lowest));
    Chart {
        title: format!("Power spectra ({} windows of 384 km; bands: other days)", spectra.windows),
        x: wavelengths(),
        y: Axis { range: Some([0.03 * lowest, 3.0 * highest]), ..Axis::logarithmic(POWER) },
        curves: vec![
            curve("low resolution", 5, Stroke::Dashed, &spectra.low),
            curve("mean of the members", 3, Stroke::Line, &spectra.mean),
            curve("a member", 1, Stroke::Line, &spectra.members),
            curve("truth", 0, Stroke::Line, &spectra.truth),
        ],
        marks: marks(regimes),
        reference: None,
    }
}

fn error_chart(spectra: &SpectraRecord, regimes: Regimes) -> Chart {
    let curve = |name: &str, colour: usize, error: &[[f64; 3]]| Curve {
        name: name.into(),
        colour,
        stroke: Stroke::Line,
        points: spectra.wavelengths_km.iter().copied().zip(over(error, &spectra.truth)).collect(),
        band: Vec::new(),
    };
    Chart {
        title: "Power of the error over the truth's power".into(),
        x: wavelengths(),
        y: Axis { range: Some([0.0, 2.2]), ..Axis::linear("error power / truth") },
        curves: vec![
            curve("low resolution", 5, &spectra.low_error),
            curve("mean of the members", 3, &spectra.fair_mean_error),
            curve("a member", 1, &spectra.member_error),
        ],
        marks: marks(regimes),
        reference: Some([(6.0, 1.0), (384.0, 1.0)]),
    }
}

fn rank_chart(title: &str, counts: &[f64]) -> Chart {
    let due = counts.iter().sum::<f64>() / counts.len() as f64;
    let bars = counts.iter().enumerate().map(|(rank, count)| (rank as f64, count / due));
    Chart {
        title: format!("{title} ({} cells)", counts.iter().sum::<f64>()),
        x: Axis::linear("members below the truth"),
        y: Axis { range: Some([0.0, 2.5]), ..Axis::linear("cells / a bin's due") },
        curves: vec![Curve {
            name: String::new(),
            colour: 1,
            stroke: Stroke::Bars,
            points: bars.collect(),
            band: Vec::new(),
        }],
        marks: Vec::new(),
        reference: Some([(-1.0, 1.0), (counts.len() as f64, 1.0)]),
    }
}

/// How often the truth lies below each quantile of the members, as the ranks tell.
fn quantile_chart(row: &Row) -> Chart {
    let curve = |name: &str, colour: usize, counts: &[f64]| {
        let total: f64 = counts.iter().sum();
        let mut below = 0.0;
        let points = counts.iter().enumerate().map(|(rank, count)| {
            below += count / total;
            ((rank + 1) as f64 / counts.len() as f64, below)
        });
        Curve { name: name.into(), colour, stroke: Stroke::Line, points: points.collect(), band: Vec::new() }
    };
    Chart {
        title: "Reliability of the quantiles".into(),
        x: Axis { range: Some([0.0, 1.0]), ..Axis::linear("quantile of the members") },
        y: Axis { range: Some([0.0, 1.0]), ..Axis::linear("truth lies below it") },
        curves: vec![curve("all ice", 1, &row.ranks), curve("below 0.5 m", 2, &row.ranks_thin)],
        marks: Vec::new(),
        reference: Some([(0.0, 0.0), (1.0, 1.0)]),
    }
}

fn event_chart(row: &Row) -> Chart {
    let curves = row.reliability.iter().enumerate().map(|(number, event)| Curve {
        name: format!("thinner than {} m", event.thinner_than_m),
        colour: number + 1,
        stroke: Stroke::Dotted,
        points: event.curve.clone(),
        band: Vec::new(),
    });
    Chart {
        title: "Reliability of thin ice".into(),
        x: Axis { range: Some([0.0, 1.0]), ..Axis::linear("share of members that say so") },
        y: Axis { range: Some([0.0, 1.0]), ..Axis::linear("it is so") },
        curves: curves.collect(),
        marks: Vec::new(),
        reference: Some([(0.0, 0.0), (1.0, 1.0)]),
    }
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word =
            part.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - part.len()));
        for digit in 0..4 {
            let place = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit <= part.len() { char::from(DIGITS[place as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_written_as_the_standard_says() {
        // RFC 4648, section 10.
        let found = ["", "f", "fo", "foo", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(found, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
    }
}
