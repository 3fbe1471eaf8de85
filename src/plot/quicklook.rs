//! The layout of a quicklook.

use std::path::Path;

use plotters::prelude::*;

use super::bar::{self, INK, QUIET, WARNING, letters};
use super::canvas::{Anchor, Canvas};
use super::map::{self, Frame};
use super::{PlotError, Quicklook};

/// Room for the longest lines of text, and two maps that can be read.
const NARROWEST: usize = 1200;
const WIDEST: usize = 1480;
const MARGIN: usize = 30;
const HEADER: usize = 150;
const TALLEST_MAP: usize = 900;
/// Letters of a line of a notice that fit into the narrowest picture.
const NOTICE_LETTERS: usize = 125;
/// Height of a line of it.
const NOTICE_LINE: usize = 24;
/// Below each map: the colour bar with its ticks.
const BAR_SPACE: usize = 86;
/// At the foot: the key of the colours, then lines of text of which each has so many pixels for a letter.
const KEY: usize = 64;
const FOOTER_LINE: usize = 26;
const FOOTER_LETTER: f64 = 7.6;

/// Draws a quicklook and writes it as PNG, 1200 to 1480 pixels wide.
///
/// # Errors
/// [`PlotError`] when something cannot be drawn or the file cannot be written.
pub fn draw_quicklook(path: &Path, quicklook: &Quicklook<'_>) -> Result<(), PlotError> {
    let (width, frames) = layout(quicklook);
    let header = header(quicklook);
    let footer = footer(quicklook, width);
    let foot = header + frames[0].height + BAR_SPACE;
    let mut canvas = Canvas::new(width, foot + KEY + FOOTER_LINE * footer.len())?;
    draw_header(&mut canvas, quicklook)?;
    for (panel, frame) in quicklook.panels.iter().zip(frames) {
        map::paint(&mut canvas, frame, quicklook.ground, panel.values, &panel.scale);
        map::paint_ice_edge(&mut canvas, frame, quicklook.ground);
        map::draw_graticule(&mut canvas, frame, quicklook.ground.grid)?;
        draw_outline(&mut canvas, frame)?;
        let middle = (frame.left + frame.width / 2) as i32;
        canvas.text(&panel.title, (middle, header as i32 - 22), letters(21.0, true, INK, Anchor::Centre))?;
        let length = (frame.width * 3 / 4).max(300);
        let left = (frame.left + frame.width / 2).saturating_sub(length / 2);
        bar::draw(&mut canvas, (left, frame.top + frame.height + 18), length, &panel.scale)?;
    }
    draw_footer(&mut canvas, foot as i32 + 14, quicklook.ground.ice_edge, &footer)?;
    canvas.write(path)
}

/// The width of the picture and the places of the two maps in it: as large as they fit, each in the middle of its half.
fn layout(quicklook: &Quicklook<'_>) -> (usize, [Frame; 2]) {
    let (rows, columns) = quicklook.ground.land.dim();
    let half = |width: usize| (width - 3 * MARGIN) / 2;
    let scale = (half(WIDEST) as f64 / columns as f64).min(TALLEST_MAP as f64 / rows as f64);
    let side = |cells: usize| ((cells as f64 * scale) as usize).max(1);
    let picture = (2 * side(columns) + 3 * MARGIN).clamp(NARROWEST, WIDEST);
    let frames = [0, 1].map(|number| {
        let left = MARGIN + number * (half(picture) + MARGIN) + (half(picture) - side(columns)) / 2;
        Frame { left, top: header(quicklook), width: side(columns), height: side(rows), scale }
    });
    (picture, frames)
}

fn draw_header(canvas: &mut Canvas, quicklook: &Quicklook<'_>) -> Result<(), PlotError> {
    let left = MARGIN as i32;
    canvas.text(&quicklook.heading, (left, 42), letters(34.0, true, INK, Anchor::Left))?;
    canvas.text(&quicklook.subheading, (left, 84), letters(19.0, false, QUIET, Anchor::Left))?;
    for (line, text) in notice(quicklook).iter().enumerate() {
        let y = 112 + (NOTICE_LINE * line) as i32;
        canvas.text(text, (left, y), letters(16.0, true, WARNING, Anchor::Left))?;
    }
    let Some(stamp) = &quicklook.stamp else { return Ok(()) };
    let right = (canvas.width - MARGIN) as i32;
    let width = 20 * stamp.chars().count() as i32 + 28;
    let corners = [(right - width, 20), (right, 64)];
    canvas.draw(|area| area.draw(&Rectangle::new(corners, WARNING.filled())))?;
    canvas.text(stamp, (right - width / 2, 42), letters(25.0, true, WHITE, Anchor::Centre))
}

/// Height of what stands above the maps.
fn header(quicklook: &Quicklook<'_>) -> usize {
    HEADER + NOTICE_LINE * notice(quicklook).len()
}

/// The notice in lines that fit.
fn notice(quicklook: &Quicklook<'_>) -> Vec<String> {
    quicklook.notice.iter().flat_map(|text| lines(text, NOTICE_LETTERS)).collect()
}

/// The text of the foot in lines that fit into a picture so many pixels wide.
fn footer(quicklook: &Quicklook<'_>, width: usize) -> Vec<String> {
    let letters = (width - 2 * MARGIN) as f64 / FOOTER_LETTER;
    quicklook.footer.iter().flat_map(|text| lines(text, letters as usize)).collect()
}

/// A text in lines of at most so many letters, but for words that are longer by themselves.
fn lines(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn draw_outline(canvas: &mut Canvas, frame: Frame) -> Result<(), PlotError> {
    let (left, top) = (frame.left as i32, frame.top as i32);
    let corners = [(left - 1, top - 1), (left + frame.width as i32, top + frame.height as i32)];
    canvas.draw(|area| area.draw(&Rectangle::new(corners, QUIET.stroke_width(1))))
}

fn draw_footer(canvas: &mut Canvas, top: i32, ice_edge: f32, lines: &[String]) -> Result<(), PlotError> {
    let percent = (ice_edge * 100.0).round();
    let key = [
        (map::LAND, "land".to_owned(), 110),
        (map::WATER, format!("less than {percent} % ice"), 210),
        (map::NO_VALUE, "no estimate".to_owned(), 160),
        (map::EDGE, format!("ice edge ({percent} % concentration)"), 0),
    ];
    let mut left = MARGIN as i32;
    for ([red, green, blue], meaning, width) in key {
        let corners = [(left, top - 8), (left + 24, top + 8)];
        let colour = RGBColor(red, green, blue);
        canvas.draw(|area| area.draw(&Rectangle::new(corners, colour.filled())))?;
        canvas.draw(|area| area.draw(&Rectangle::new(corners, QUIET.stroke_width(1))))?;
        canvas.text(&meaning, (left + 34, top), letters(16.0, false, INK, Anchor::Left))?;
        left += width;
    }
    for (line, text) in lines.iter().enumerate() {
        let y = top + 34 + (FOOTER_LINE * line) as i32;
        canvas.text(text, (MARGIN as i32, y), letters(16.0, false, QUIET, Anchor::Left))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use crate::grid::GridSpec;
    use crate::plot::{ColourScale, Ground, Panel, Ramp};

    use super::*;

    #[test]
    fn a_quicklook_is_a_picture_that_fits_its_maps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quicklook.png");
        let grid = GridSpec::test_square(20);
        let values = Array2::from_shape_fn((20, 20), |(r, c)| if r < 5 { f32::NAN } else { 0.2 * c as f32 });
        let scale = ColourScale { ramp: Ramp::Viridis, highest: 4.0, is_open: true, label: "m".into() };
        let panel = Panel { title: "mean".into(), values: &values, scale };
        let quicklook = Quicklook {
            ground: Ground {
                grid: &grid,
                land: &Array2::from_elem((20, 20), false),
                concentration: &Array2::from_elem((20, 20), 0.5),
                ice_edge: 0.15,
            },
            heading: "heading".into(),
            subheading: "subheading".into(),
            stamp: Some("PROVISIONAL".into()),
            notice: Some("It was made without its right hand. ".repeat(9)),
            panels: [panel.clone(), panel],
            footer: ["one".into(), "a foot that is too long for one line ".repeat(6)],
        };
        draw_quicklook(&path, &quicklook).unwrap();
        let lines = notice(&quicklook);
        assert!(
            lines.len() == 3 && lines.iter().all(|line| line.chars().count() <= NOTICE_LETTERS),
            "{lines:?}"
        );
        assert_eq!(lines.join(" "), quicklook.notice.as_ref().unwrap().trim());
        assert_eq!(footer(&quicklook, NARROWEST).len(), 3);
        assert_eq!(footer(&quicklook, NARROWEST)[0], "one");
        let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
        let width = decoder.read_info().unwrap().info().width as usize;
        assert!((NARROWEST..=WIDEST).contains(&width), "{width}");
    }
}
