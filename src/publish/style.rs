//! How maps are coloured elsewhere: style files that QGIS takes up beside a map of the same name, and a legend.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::plot::{ColourScale, Key, draw_legend};

use super::PublishError;
use super::flags::CLASSES;
use super::maps::{Map, Quantity};

/// Colours between which QGIS interpolates.
const STOPS: usize = 17;

/// Writes the style of a map; of several bands the middle one is shown.
pub(super) fn write(path: &Path, map: &Map<'_>) -> Result<(), PublishError> {
    let text =
        qml(&map.quantity.scale(), map.bands.len() / 2 + 1, map.quantity.unit().to_str().unwrap_or(""));
    fs::write(path, text).map_err(|source| PublishError::File { path: path.to_owned(), source })
}

/// A style as QGIS 3 reads it: one band in colours that change evenly from 0 to the highest value of the scale.
fn qml(scale: &ColourScale, band: usize, unit: &str) -> String {
    let highest = scale.highest;
    let unit = if unit == "1" { String::new() } else { format!(" {unit}") };
    let mut items = String::new();
    for stop in 0..STOPS {
        let share = stop as f64 / (STOPS - 1) as f64;
        let value = f64::from(highest) * share;
        let [red, green, blue] = scale.colour_at(share);
        let above = if stop + 1 == STOPS && scale.is_open { " and more" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            items,
            r##"          <item value="{value}" color="#{red:02x}{green:02x}{blue:02x}" alpha="255" label="{value:.2}{unit}{above}"/>"##
        );
    }
    document(&format!(
        r#"    <rasterrenderer type="singlebandpseudocolor" band="{band}" opacity="1" alphaBand="-1" nodataColor="" classificationMin="0" classificationMax="{highest}">
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="0" maximumValue="{highest}">
{items}        </colorrampshader>
      </rastershader>
    </rasterrenderer>
"#
    ))
}

/// Writes the style of the map of classes: each by its name.
pub(super) fn write_classes(path: &Path) -> Result<(), PublishError> {
    let mut entries = String::new();
    for class in &CLASSES {
        let [red, green, blue] = class.colour;
        // Writing to a String cannot fail.
        let _ = writeln!(
            entries,
            r##"        <paletteEntry value="{}" color="#{red:02x}{green:02x}{blue:02x}" alpha="255" label="{}"/>"##,
            class.value, class.description
        );
    }
    let text = document(&format!(
        r#"    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
      <colorPalette>
{entries}      </colorPalette>
    </rasterrenderer>
"#
    ));
    fs::write(path, text).map_err(|source| PublishError::File { path: path.to_owned(), source })
}

fn document(renderer: &str) -> String {
    format!(
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n\
         <qgis version=\"3.22.0\" styleCategories=\"Symbology\">\n  <pipe>\n{renderer}  </pipe>\n</qgis>\n"
    )
}

/// Draws the colours of all maps into one picture.
pub(super) fn write_legend(path: &Path) -> Result<(), PublishError> {
    let scales = [Quantity::Thickness, Quantity::Spread, Quantity::Probability].map(Quantity::scale);
    let keys: Vec<_> =
        CLASSES.iter().map(|class| Key { colour: class.colour, meaning: class.description }).collect();
    Ok(draw_legend(path, &scales, &keys)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_goes_from_0_to_the_highest_value_of_the_scale() {
        let text = qml(&Quantity::Spread.scale(), 1, "m");
        assert_eq!(text.matches("<item ").count(), STOPS);
        assert!(text.contains(r##"value="0" color="#000004""##), "{text}");
        assert!(text.contains(r#"label="1.00 m and more""#) && text.contains(r#"band="1""#), "{text}");
    }

    #[test]
    fn a_style_is_well_formed() {
        let text = qml(&Quantity::Probability.scale(), 3, "1");
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut elements = 0;
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Start(_) => elements += 1,
                _ => {}
            }
        }
        assert_eq!(elements, 5);
    }
}
