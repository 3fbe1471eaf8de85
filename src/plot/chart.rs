//! Curves and bars as SVG text, for pages that must hold everything they show.

use std::fmt::Write;

/// Colours that stay apart for the colour-blind (Okabe and Ito), black first.
const COLOURS: [&str; 8] =
    ["#111111", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Left, top, right (for the names of the curves), bottom.
const ROOM: [f64; 4] = [78.0, 34.0, 200.0, 56.0];
/// Room between the lowest and highest value and the frame, share of the range.
const AIR: f64 = 0.04;

/// One axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// What stands beside it, with the unit.
    pub label: String,
    /// Whether equal ratios are equal lengths; values must be above 0.
    pub logarithmic: bool,
    /// Whether it runs from large to small values.
    pub reversed: bool,
    /// Lowest and highest value shown; `None` takes those of the curves.
    pub range: Option<[f64; 2]>,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// A line.
    Line,
    /// A dashed line.
    Dashed,
    /// A line with a dot at every point.
    Dotted,
    /// A bar from the lower end of the axis, one unit wide.
    Bars,
}

/// A curve or a set of bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the key.
    pub name: String,
    /// Number of its colour; 0 is black.
    pub colour: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// The points (x, y); those that are not numbers interrupt the line.
    pub points: Vec<(f64, f64)>,
    /// A band about it (x, lower, upper); may be empty.
    pub band: Vec<(f64, f64, f64)>,
}

/// A chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// The curves, the first at the back.
    pub curves: Vec<Curve>,
    /// Vertical lines with a word beside each.
    pub marks: Vec<(f64, String)>,
    /// A thin straight line from one point to another: what would be right.
    pub reference: Option<[(f64, f64); 2]>,
}

impl Axis {
    /// A linear axis.
    #[must_use]
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::default() }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn logarithmic(label: &str) -> Self {
        Self { label: label.to_owned(), logarithmic: true, ..Self::default() }
    }

    fn usable(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    /// Ends of the axis, scaled.
    fn ends(&self, values: impl Iterator<Item = f64>) -> [f64; 2] {
        let [low, high] = self.range.unwrap_or_else(|| {
            values
                .filter(|&value| self.usable(value))
                .fold([f64::INFINITY, f64::NEG_INFINITY], |ends, value| {
                    [ends[0].min(value), ends[1].max(value)]
                })
        });
        let (low, high) = (self.scaled(low), self.scaled(high));
        if !low.is_finite() || !high.is_finite() {
            [0.0, 1.0]
        } else if self.range.is_some() {
            [low, high]
        } else if high > low {
            [low - AIR * (high - low), high + AIR * (high - low)]
        } else {
            [low - 0.5, high + 0.5]
        }
    }

    /// Places of the ticks, scaled, with their texts.
    fn ticks(&self, [low, high]: [f64; 2]) -> Vec<(f64, String)> {
        if self.logarithmic {
            let steps: &[f64] = if high - low > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = low.floor() as i32..=high.ceil() as i32;
            let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
            let ticks: Vec<_> = all
                .filter(|value| (low..=high).contains(&value.log10()))
                .map(|value| (value.log10(), text_of(value)))
                .collect();
            if ticks.len() > 1 {
                return ticks;
            }
            // A short piece of a logarithmic axis is almost linear.
            let linear = Self { logarithmic: false, ..self.clone() };
            let ticks = linear.ticks([10_f64.powf(low), 10_f64.powf(high)]);
            return ticks.into_iter().map(|(value, text)| (value.log10(), text)).collect();
        }
        let rough = (high - low) / 6.0;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        (first..=last).map(|k| k as f64 * step).map(|value| (value, text_of(value))).collect()
    }
}

/// A number with as few digits as tell it.
fn text_of(value: f64) -> String {
    if value.abs() < 1e-9 {
        return "0".into();
    }
    let magnitude = value.abs();
    if (1e-3..1e5).contains(&magnitude) {
        let decimals = if magnitude >= 100.0 {
            0
        } else if magnitude >= 1.0 {
            2
        } else {
            4
        };
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.0e}")
    }
}

/// A text as it may stand in HTML and SVG.
#[must_use]
pub fn escape(text: &str) -> String {
    let parts = text.chars().map(|character| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    });
    parts.collect()
}

/// From values to places in the picture.
struct Frame<'a> {
    chart: &'a Chart,
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame<'_> {
    fn across(&self, scaled: f64) -> f64 {
        let share = (scaled - self.x[0]) / (self.x[1] - self.x[0]);
        let share = if self.chart.x.reversed { 1.0 - share } else { share };
        ROOM[0] + share * (WIDTH - ROOM[0] - ROOM[2])
    }

    fn up(&self, scaled: f64) -> f64 {
        let share = (scaled - self.y[0]) / (self.y[1] - self.y[0]);
        HEIGHT - ROOM[3] - share * (HEIGHT - ROOM[1] - ROOM[3])
    }

    fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let (horizontal, vertical) = (&self.chart.x, &self.chart.y);
        (horizontal.usable(x) && vertical.usable(y))
            .then(|| (self.across(horizontal.scaled(x)), self.up(vertical.scaled(y))))
    }
}

impl Chart {
    /// The chart as an SVG element, which takes the width that it is given.
    #[must_use]
    pub fn svg(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let bands = || self.curves.iter().flat_map(|curve| &curve.band);
        let bars = || self.curves.iter().filter(|curve| curve.stroke == Stroke::Bars);
        let xs = points().map(|point| point.0).chain(bands().map(|point| point.0));
        // Half a bar stands out at each end.
        let xs =
            xs.chain(bars().flat_map(|curve| &curve.points).flat_map(|point| [point.0 - 0.5, point.0 + 0.5]));
        let ys = points().map(|point| point.1).chain(bands().flat_map(|point| [point.1, point.2]));
        let frame = Frame { chart: self, x: self.x.ends(xs), y: self.y.ends(ys) };
        let mut out = String::new();
        // Writing into a text does not fail.
        let _ = self.draw(&frame, &mut out);
        out
    }

    fn draw(&self, frame: &Frame<'_>, out: &mut String) -> std::fmt::Result {
        let [left, top, right, bottom] = [ROOM[0], ROOM[1], WIDTH - ROOM[2], HEIGHT - ROOM[3]];
        write!(
            out,
            r##"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{0}" font-family="system-ui, sans-serif" font-size="13" fill="#222"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{left}" y="20" font-weight="600" font-size="15">{0}</text>"##,
            escape(&self.title)
        )?;
        self.draw_axes(frame, out)?;
        // What lies beyond a range that was given is cut off.
        let clip = format!("clip{:x}", self.fingerprint());
        write!(
            out,
            r#"<clipPath id="{clip}"><rect x="{left}" y="{top}" width="{}" height="{}"/></clipPath><g clip-path="url(#{clip})">"#,
            right - left,
            bottom - top
        )?;
        if let Some([from, to]) = self.reference
            && let (Some(from), Some(to)) = (frame.place(from), frame.place(to))
        {
            write!(
                out,
                r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#777" stroke-dasharray="2 4"/>"##,
                from.0, from.1, to.0, to.1
            )?;
        }
        for curve in &self.curves {
            curve.draw(frame, out)?;
        }
        out.push_str("</g>");
        for (number, (x, word)) in self.marks.iter().enumerate().filter(|(_, (x, _))| self.x.usable(*x)) {
            let across = frame.across(self.x.scaled(*x));
            write!(
                out,
                r##"<line x1="{across:.1}" y1="{top}" x2="{across:.1}" y2="{bottom}" stroke="#555" stroke-dasharray="5 3"/><text x="{:.1}" y="{:.1}" fill="#555" font-size="11">{}</text>"##,
                across + 4.0,
                top + 14.0 + 14.0 * (number % 4) as f64,
                escape(word)
            )?;
        }
        for (number, curve) in self.curves.iter().filter(|curve| !curve.name.is_empty()).enumerate() {
            let y = top + 10.0 + 19.0 * number as f64;
            let dash = if curve.stroke == Stroke::Dashed { r#" stroke-dasharray="6 4""# } else { "" };
            write!(
                out,
                r#"<line x1="{0}" y1="{y}" x2="{1}" y2="{y}" stroke="{2}" stroke-width="3"{dash}/><text x="{3}" y="{4}" font-size="12">{5}</text>"#,
                right + 10.0,
                right + 32.0,
                colour(curve.colour),
                right + 38.0,
                y + 4.0,
                escape(&curve.name)
            )?;
        }
        out.push_str("</svg>");
        Ok(())
    }

    fn draw_axes(&self, frame: &Frame<'_>, out: &mut String) -> std::fmt::Result {
        let [left, top, right, bottom] = [ROOM[0], ROOM[1], WIDTH - ROOM[2], HEIGHT - ROOM[3]];
        for (scaled, text) in self.x.ticks(frame.x) {
            let x = frame.across(scaled);
            write!(
                out,
                r##"<line x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}" stroke="#e4e4e4"/><text x="{x:.1}" y="{}" text-anchor="middle">{text}</text>"##,
                bottom + 18.0
            )?;
        }
        for (scaled, text) in self.y.ticks(frame.y) {
            let y = frame.up(scaled);
            write!(
                out,
                r##"<line x1="{left}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="#e4e4e4"/><text x="{}" y="{:.1}" text-anchor="end">{text}</text>"##,
                left - 6.0,
                y + 4.0
            )?;
        }
        write!(
            out,
            r##"<rect x="{left}" y="{top}" width="{}" height="{}" fill="none" stroke="#555"/><text x="{}" y="{}" text-anchor="middle">{}</text><text transform="translate(18 {}) rotate(-90)" text-anchor="middle">{}</text>"##,
            right - left,
            bottom - top,
            0.5 * (left + right),
            HEIGHT - 12.0,
            escape(&self.x.label),
            0.5 * (top + bottom),
            escape(&self.y.label)
        )
    }

    /// Tells the charts of a page apart.
    fn fingerprint(&self) -> u64 {
        let text = format!("{self:?}");
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}

impl Curve {
    fn draw(&self, frame: &Frame<'_>, out: &mut String) -> std::fmt::Result {
        let colour = colour(self.colour);
        let edge = |upper: bool| {
            self.band
                .iter()
                .filter_map(move |&(x, low, high)| frame.place((x, if upper { high } else { low })))
        };
        let outline: Vec<_> = edge(true).chain(edge(false).collect::<Vec<_>>().into_iter().rev()).collect();
        if !outline.is_empty() {
            write!(out, r#"<path d="{}Z" fill="{colour}" opacity="0.18"/>"#, path_of(&outline))?;
        }
        let places: Vec<_> = self.points.iter().map(|&point| frame.place(point)).collect();
        if self.stroke == Stroke::Bars {
            let foot = frame.up(frame.y[0]);
            let half = 0.46 * (frame.across(1.0) - frame.across(0.0)).abs();
            for (x, y) in places.into_iter().flatten() {
                write!(
                    out,
                    r#"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="{colour}" opacity="0.8"/>"#,
                    x - half,
                    y.min(foot),
                    2.0 * half,
                    (foot - y).abs()
                )?;
            }
            return Ok(());
        }
        let dash = if self.stroke == Stroke::Dashed { r#" stroke-dasharray="6 4""# } else { "" };
        for piece in places.split(Option::is_none).filter(|piece| !piece.is_empty()) {
            let piece: Vec<_> = piece.iter().flatten().copied().collect();
            write!(
                out,
                r#"<path d="{}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>"#,
                path_of(&piece)
            )?;
        }
        if self.stroke == Stroke::Dotted {
            for (x, y) in places.into_iter().flatten() {
                write!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#)?;
            }
        }
        Ok(())
    }
}

fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

fn path_of(places: &[(f64, f64)]) -> String {
    let steps = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}"));
    format!("M{}", steps.collect::<Vec<_>>().join("L"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let curve = Curve { name: "a <b>".into(), colour: 1, stroke: Stroke::Line, points, band: vec![] };
        Chart { curves: vec![curve], ..Chart::default() }
    }

    #[test]
    fn a_short_logarithmic_axis_has_numbers_too() {
        let axis = Axis::logarithmic("loss");
        let ticks = axis.ticks([0.91_f64.log10(), 0.99_f64.log10()]);
        assert!(ticks.len() >= 3, "{ticks:?}");
        assert!(
            ticks.iter().all(|(at, text)| (10_f64.powf(*at) - text.parse::<f64>().unwrap()).abs() < 1e-6)
        );
    }

    #[test]
    fn a_point_lies_where_its_axes_say() {
        let mut chart = chart(vec![(10.0, 1.0), (100.0, 3.0)]);
        chart.x = Axis { logarithmic: true, reversed: true, range: Some([1.0, 100.0]), label: "km".into() };
        chart.y.range = Some([0.0, 4.0]);
        // Half-way of two decades from the right; a quarter, then three quarters, of the height.
        let (middle, high) = ((ROOM[0] + WIDTH - ROOM[2]) / 2.0, HEIGHT - ROOM[1] - ROOM[3]);
        let expected = format!(
            "M{middle:.1} {:.1}L{:.1} {:.1}",
            HEIGHT - ROOM[3] - 0.25 * high,
            ROOM[0],
            HEIGHT - ROOM[3] - 0.75 * high
        );
        assert!(chart.svg().contains(&expected), "{expected} is not in {}", chart.svg());
    }

    #[test]
    fn texts_cannot_break_out_and_what_is_no_number_interrupts_the_line() {
        let mut chart = chart(vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0)]);
        chart.title = "x\"><script>".into();
        let svg = chart.svg();
        assert!(!svg.contains("<script>") && svg.contains("a &lt;b&gt;"));
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn an_empty_chart_can_be_drawn() {
        let svg = Chart::default().svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"));
    }

    #[test]
    fn ticks_are_round_numbers() {
        let texts = |axis: &Axis, ends| axis.ticks(ends).into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(texts(&Axis::linear(""), [0.0, 1.0]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(texts(&Axis::logarithmic(""), [0.7, 2.0]), ["10", "20", "50", "100"]);
    }
}
