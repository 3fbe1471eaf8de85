//! The page of a training: its curves and its options, written anew at every validation.

use std::path::Path;

use super::{TrainError, TrainOptions};
use crate::archive::Provenance;
use crate::model::Objective;
use crate::plot::{Axis, Chart, Curve, Stroke, page, table};
use crate::sys;

const NAME: &str = "report.html";

/// Writes the page from the rows of the log.
pub(super) fn write(
    out: &Path,
    options: &TrainOptions,
    provenance: &Provenance,
    rows: &[Vec<f64>],
) -> Result<(), TrainError> {
    let path = out.join(NAME);
    let text = page(&format!("Training of {}", options.name), &body(options, provenance, rows));
    sys::replace_file(&path, text.as_bytes()).map_err(|source| TrainError::File { path, source })
}

fn body(options: &TrainOptions, provenance: &Provenance, rows: &[Vec<f64>]) -> String {
    let (what, loss) = match options.objective {
        Objective::Noise | Objective::Velocity => ("noise", "mean squared error of the noise"),
        Objective::Mean => ("field", "mean squared error of the field, in units of its scale"),
    };
    let charts = [
        chart(
            &format!("Loss of the {what}"),
            Axis::logarithmic(loss),
            rows,
            &[("training", 2, 0), ("validation", 3, 1), ("validation with holes", 5, 2)],
        ),
        chart(
            "Loss of the image",
            Axis::logarithmic("mean squared error of the field, in units of its scale"),
            rows,
            &[("validation", 4, 1), ("validation with holes", 6, 2)],
        ),
        chart("Learning rate", Axis::linear("learning rate"), rows, &[("learning rate", 1, 0)]),
    ];
    let svgs: String = charts.iter().map(Chart::svg).collect();
    let facts = [
        ("data", provenance.origin.as_str()),
        ("low resolution", &provenance.degradation),
        ("thickness", &provenance.thickness_definition),
    ];
    let mut facts: Vec<_> =
        facts.iter().map(|(name, text)| vec![(*name).into(), (*text).to_owned()]).collect();
    let entries = serde_json::to_value(options).ok();
    let entries = entries.as_ref().and_then(|options| options.as_object()).into_iter().flatten();
    facts.extend(entries.map(|(name, value)| vec![name.replace('_', " "), in_words(value)]));
    format!(
        "<p>Validation is of the averaged weights on days that training never sees, always with the same windows, times and noise; \
         once with the inputs as they are, once with holes in every sample. The loss of the training is the mean over the steps since the validation before, \
         of the weights as they were then. The noise loss says how well the network is doing its work; the image loss is dominated by the \
         samples that are almost all noise, where even a perfect network knows little.</p>\n\
         <div class=\"charts\">{svgs}</div>\n<h2>Data and options</h2>\n{}",
        table(&["what".into(), "value".into()], &facts)
    )
}

fn in_words(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "none".into(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(entries) => {
            let parts: Vec<_> = entries
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), in_words(value)))
                .collect();
            parts.join(", ")
        }
        other => other.to_string(),
    }
}

/// Columns of the log over its steps: name, column and colour of each.
fn chart(title: &str, y: Axis, rows: &[Vec<f64>], columns: &[(&str, usize, usize)]) -> Chart {
    let curve = |&(name, column, colour): &(&str, usize, usize)| Curve {
        name: name.to_owned(),
        colour,
        stroke: Stroke::Line,
        points: rows.iter().filter_map(|row| Some((*row.first()?, *row.get(column)?))).collect(),
        band: Vec::new(),
    };
    Chart {
        title: title.to_owned(),
        x: Axis::linear("step"),
        y,
        curves: columns.iter().map(curve).collect(),
        ..Chart::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_curves_and_every_option() {
        let options = TrainOptions { name: "a<b".into(), ..TrainOptions::default() };
        let text = |text: &str| text.to_owned();
        let provenance = Provenance {
            origin: text("somewhere"),
            thickness_definition: text("effective"),
            degradation: text("none"),
        };
        let rows = [vec![10.0, 1e-3, 0.9, 0.8, 0.7, 0.85, 0.75], vec![20.0, 1e-4, 0.5, 0.4, 0.3, 0.45, 0.35]];
        let made = page("x", &body(&options, &provenance, &rows));
        assert_eq!(made.matches("<svg").count(), 3);
        for wanted in ["somewhere", "validation with holes", "drop deformation", "a&lt;b"] {
            assert!(made.contains(wanted), "{wanted}");
        }
    }
}
