//! What was made, beside what a model and satellites show: a page to read before training on it.

use ndarray::Array2;

use super::pack::Budget;
use super::portrait::{Portrait, coarse};
use crate::archive::{Observed, Sample};
use crate::prepare;
use crate::time::ProductDay;

/// Cells that make one of about the neXtSIM field's, and the length of a cell, km.
const COARSE_CELLS: usize = 4;
const CELL_KM: f64 = 3.0;
/// The features, as `prepare::context` orders them.
const FEATURES: [&str; 3] = ["concentration", "effective thickness, m", "ln(deformation, 1/day)"];

/// What is known of the days and series so far.
#[derive(Debug, Default)]
pub struct Report {
    portraits: Vec<Portrait>,
    budgets: Vec<Budget>,
    inputs: Inputs,
    real: Vec<(ProductDay, Inputs)>,
}

/// Number, sum and sum of squares of each feature over the ice.
#[derive(Debug, Clone, Copy, Default)]
struct Inputs([[f64; 3]; FEATURES.len()]);

impl Inputs {
    fn add(&mut self, concentration: &Array2<f32>, thickness_m: &Array2<f32>, rates: [&Array2<f32>; 2]) {
        let deformation = ndarray::Zip::from(rates[0])
            .and(rates[1])
            .map_collect(|divergence, shear| divergence.hypot(*shear));
        let mask: Array2<bool> = ndarray::Zip::from(concentration)
            .and(thickness_m)
            .map_collect(|&c, &m| c >= prepare::ICE_EDGE && !m.is_nan());
        let context = prepare::context(concentration, thickness_m, &deformation, &mask);
        for (sums, values) in self.0.iter_mut().zip(context.outer_iter()) {
            for (&value, _) in values.iter().zip(&mask).filter(|(value, inside)| **inside && !value.is_nan())
            {
                let value = f64::from(value);
                *sums = [sums[0] + 1.0, sums[1] + value, sums[2] + value * value];
            }
        }
    }

    /// Mean and standard deviation of each feature.
    fn moments(&self) -> [[f64; 2]; FEATURES.len()] {
        self.0.map(|[n, sum, squares]| {
            let mean = sum / n;
            [mean, (squares / n - mean * mean).max(0.0).sqrt()]
        })
    }
}

impl Report {
    /// Counts a day.
    pub fn add_day(&mut self, sample: &Sample) {
        let ice = ndarray::Zip::from(&sample.effective_thickness_m)
            .and(&sample.concentration)
            .map_collect(|&m, &c| if c >= prepare::ICE_EDGE { m } else { f32::NAN });
        self.portraits.push(Portrait::of(&coarse(&ice, COARSE_CELLS), COARSE_CELLS as f64 * CELL_KM));
        self.inputs.add(
            &sample.low_concentration,
            &sample.low_effective_thickness_m,
            [&sample.low_divergence_per_day, &sample.low_shear_per_day],
        );
    }

    /// Counts a real day, to hold the inputs against.
    pub fn add_real_day(&mut self, day: ProductDay, seen: &Observed) {
        let mut inputs = Inputs::default();
        inputs.add(
            &seen.concentration,
            &seen.effective_thickness_m,
            [&seen.divergence_per_day, &seen.shear_per_day],
        );
        self.real.push((day, inputs));
    }

    /// Counts a series that has ended.
    pub fn add_series(&mut self, budget: Budget) {
        self.budgets.push(budget);
    }

    /// The largest share of a series' volume that its budget does not explain.
    #[must_use]
    pub fn largest_imbalance(&self) -> f64 {
        // What is not a number is worse than any, and has to stay seen.
        let worse = |largest: f64, one: f64| if one.is_nan() || one > largest { one } else { largest };
        self.budgets.iter().map(Budget::imbalance).fold(0.0, worse)
    }

    /// The page, in Markdown.
    #[must_use]
    pub fn text(&self, origin: &str, model: &Portrait) -> String {
        let count = self.portraits.len();
        let numbers: Vec<String> = model
            .entries()
            .into_iter()
            .enumerate()
            .map(|(index, (name, of_model))| {
                let values: Vec<f64> =
                    self.portraits.iter().filter_map(|portrait| portrait.entries()[index].1).collect();
                format!("| {name} | {} | {} |\n", range(&values), number(of_model))
            })
            .collect();
        let features: Vec<String> = FEATURES
            .iter()
            .zip(self.inputs.moments())
            .map(|(name, [mean, deviation])| format!("| {name} | {mean:.3} | {deviation:.3} |\n"))
            .collect();
        format!(
            "# Synthetic ice\n\n{origin}\n\n\
             ## Beside a model\n\nThickness of {count} days, means over {COARSE_CELLS} x {COARSE_CELLS} cells of {CELL_KM} km, \
             beside a neXtSIM field of January 2015 on cells of about 12.4 km. What is finer than 25 km is a prior: nothing here is \
             evidence for it.\n\n\
             | | synthetic: mean (least, most) | neXtSIM |\n|---|---|---|\n{}\n\
             ## Inputs of the network\n\nOver the ice of all days.\n\n\
             | | mean | standard deviation |\n|---|---|---|\n{}{}{}",
            numbers.concat(),
            features.concat(),
            self.real_text(),
            self.budget_text()
        )
    }

    fn real_text(&self) -> String {
        if self.real.is_empty() {
            return "\n`nilas features --archive` and `--observed` hold those of real days against them.\n"
                .into();
        }
        let synthetic = self.inputs.moments();
        let lines: Vec<String> = self
            .real
            .iter()
            .map(|(day, inputs)| {
                let features = inputs.moments().into_iter().zip(synthetic);
                let cells: Vec<String> = features
                    .map(|([mean, deviation], [usual, spread])| {
                        format!(" {:+.2}, {:.2} |", (mean - usual) / spread, deviation / spread)
                    })
                    .collect();
                format!("| {day} |{}\n", cells.concat())
            })
            .collect();
        format!(
            "\nReal days beside them: by how many of these standard deviations the mean is off, and the standard deviation over \
             these. A network has learnt what it meets where the first is within 0.3 and the second within 0.7 to 1.4.\n\n\
             | |{}\n|---|---|---|---|\n{}",
            FEATURES.map(|name| format!(" {name} |")).concat(),
            lines.concat()
        )
    }

    fn budget_text(&self) -> String {
        let share = |of: fn(&Budget) -> f64| {
            let shares: Vec<f64> =
                self.budgets.iter().map(|budget| 100.0 * of(budget) / budget.initial_volume).collect();
            range(&shares)
        };
        format!(
            "\n## Where volume and area went\n\nOver the weeks of a series, % of its first volume, or of its first area.\n\n\
             | | mean (least, most) |\n|---|---|\n\
             | grown by frost | {} |\n| molten | {} |\n| drifted out of the grid | {} |\n| not explained | {} |\n\
             | water that opened and froze over, area | {} |\n| area lost to ridging | {} |\n",
            share(|budget| budget.grown_volume),
            share(|budget| budget.molten_volume),
            share(|budget| budget.exported_volume),
            share(|budget| budget.imbalance() * budget.initial_volume),
            share(|budget| budget.opened_area / budget.initial_area * budget.initial_volume),
            share(|budget| budget.closed_area / budget.initial_area * budget.initial_volume),
        )
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

fn range(values: &[f64]) -> String {
    if values.is_empty() {
        return "-".into();
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{mean:.3} ({least:.3}, {most:.3})")
}
