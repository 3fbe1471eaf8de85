//! The catalog of a THREDDS server, `catalog.xml`: which files lie in a folder. Nothing in it is believed further than that.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::text::excerpt;

/// What a catalog says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Where files are served over HTTP, relative to the catalog.
    pub http_base: Option<String>,
    /// Its datasets that can be opened, in its order.
    pub datasets: Vec<Dataset>,
}

/// A dataset that can be opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its place below the service's base, as the catalog writes it: unchecked.
    pub url_path: String,
    /// Its size, bytes; the catalog rounds it to a few digits.
    pub size_bytes: Option<u64>,
}

/// Reads a catalog. What a dataset holds besides is read like the dataset itself; other catalogs that it refers to are left alone.
///
/// # Errors
/// In words where it is no XML, not whole, no THREDDS catalog, or declares a document type: entities could make it grow without
/// bounds, and no server of catalogs needs them.
pub fn parse(bytes: &[u8]) -> Result<Catalog, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("the catalog is not UTF-8 ({error})"))?;
    let mut reader = Reader::from_str(text);
    let mut catalog = Catalog::default();
    let mut place = Place::default();
    loop {
        let event = reader.read_event().map_err(no_xml)?;
        match event {
            Event::DocType(_) => {
                return Err("the catalog declares a document type, which Nilas does not read".into());
            }
            Event::Start(element) => {
                catalog.enter(&element, &mut place)?;
                place.depth += 1;
            }
            Event::Empty(element) => catalog.enter(&element, &mut place)?,
            Event::End(_) => {
                place.depth -= 1;
                place.size_unit = None;
            }
            Event::Text(text) => {
                if let (Some(unit), Some(dataset)) = (place.size_unit.take(), catalog.datasets.last_mut()) {
                    dataset.size_bytes = text.decode().ok().and_then(|number| bytes_in(&number, unit));
                }
            }
            Event::Eof if place.depth > 0 => return Err("the catalog ends in its middle".into()),
            Event::Eof if !place.inside => return Err(NO_CATALOG.into()),
            Event::Eof => return Ok(catalog),
            _ => {}
        }
    }
}

/// What is said of a text that is no XML. The parser repeats names out of it, which can be of any length.
fn no_xml(error: impl ToString) -> String {
    format!("the catalog is no XML ({})", excerpt(&error.to_string()))
}

const NO_CATALOG: &str = "the answer is no THREDDS catalog";

/// Where in the document the reader is.
#[derive(Default)]
struct Place {
    /// How many elements are open.
    depth: usize,
    /// Whether the catalog's own element has begun.
    inside: bool,
    /// Whether sizes are those of the last dataset in the list.
    in_listed: bool,
    /// The unit of the size whose digits come next, bytes.
    size_unit: Option<f64>,
}

impl Catalog {
    /// A file of it, where it has some and none of their places begins so. `latest.xml`, which servers list in empty folders as well, lies
    /// in none.
    pub(super) fn only_elsewhere(&self, start: &str) -> Option<&str> {
        let paths = self.datasets.iter().map(|dataset| dataset.url_path.as_str());
        let mut files = paths.filter(|path| path.contains('/'));
        let first = files.clone().next()?;
        files.all(|path| !path.starts_with(start)).then_some(first)
    }

    fn enter(&mut self, element: &BytesStart<'_>, place: &mut Place) -> Result<(), String> {
        place.size_unit = None;
        match element.local_name().as_ref() {
            b"catalog" => place.inside = true,
            _ if !place.inside => return Err(NO_CATALOG.into()),
            b"service" => {
                let kind = attribute(element, "serviceType")?;
                let is_http = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("HTTPServer"));
                let base = attribute(element, "base")?.filter(|_| is_http);
                self.http_base = self.http_base.take().or(base.map(Cow::into_owned));
            }
            b"dataset" => {
                let url_path = attribute(element, "urlPath")?;
                place.in_listed = url_path.is_some();
                self.datasets
                    .extend(url_path.map(|path| Dataset { url_path: path.into_owned(), size_bytes: None }));
            }
            b"dataSize" if place.in_listed => {
                place.size_unit = attribute(element, "units")?.and_then(|unit| unit_bytes(&unit));
            }
            _ => {}
        }
        Ok(())
    }
}

/// An attribute. Repeated ones are not looked for: that takes a time that grows with the square of their number.
fn attribute<'a>(element: &'a BytesStart<'_>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(no_xml)?;
        if attribute.key.local_name().as_ref() == name.as_bytes() {
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            return value.map(Some).map_err(no_xml);
        }
    }
    Ok(None)
}

/// THREDDS counts in thousands.
fn unit_bytes(unit: &str) -> Option<f64> {
    match unit {
        "bytes" => Some(1.0),
        "Kbytes" => Some(1e3),
        "Mbytes" => Some(1e6),
        "Gbytes" => Some(1e9),
        _ => None,
    }
}

fn bytes_in(number: &str, unit: f64) -> Option<u64> {
    let number: f64 = number.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| (number * unit).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.2">
  <service name="all" serviceType="Compound" base="">
    <service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/" />
    <service name="http" serviceType="HTTPServer" base="/thredds/fileServer/" />
  </service>
  <dataset name="2026/03" ID="ice/2026/03">
    <dataSize units="Gbytes">1.0</dataSize>
    <dataset name="b &amp; c.nc" ID="x" urlPath="ice/2026/03/b &amp; c.nc">
      <dataSize units="Mbytes">1.966</dataSize>
      <date type="modified">2026-03-02T04:10:20Z</date>
    </dataset>
    <dataset name="empty.nc" urlPath="ice/2026/03/empty.nc"><dataSize units="bytes">0</dataSize></dataset>
    <catalogRef xlink:href="old/catalog.xml" xlink:title="old" name="" />
    <dataset name="bare.nc" urlPath="ice/2026/03/bare.nc" />
  </dataset>
</catalog>"#;

    #[test]
    fn datasets_come_with_place_and_size() {
        let catalog = parse(CATALOG.as_bytes()).unwrap();
        assert_eq!(catalog.http_base.as_deref(), Some("/thredds/fileServer/"));
        let found: Vec<_> = catalog.datasets.iter().map(|d| (d.url_path.as_str(), d.size_bytes)).collect();
        let expected = [
            ("ice/2026/03/b & c.nc", Some(1_966_000)),
            ("ice/2026/03/empty.nc", Some(0)),
            ("ice/2026/03/bare.nc", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn prefixes_of_namespaces_do_not_matter() {
        let text = CATALOG.replace("<dataset", "<t:dataset").replace("</dataset", "</t:dataset");
        assert_eq!(parse(text.as_bytes()).unwrap(), parse(CATALOG.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_no_catalog_is_refused_in_words() {
        let cases: [(&[u8], &str); 8] = [
            (b"", "no THREDDS catalog"),
            (b"<!doctype html><html></html>", "document type"),
            (b"<html><body>maintenance</body></html>", "no THREDDS catalog"),
            (b"<catalog><dataset name='a' urlPath='a'>", "ends in its middle"),
            (b"<catalog><dataset></catalog>", "no XML"),
            (b"<catalog><dataset urlPath='&a;'/></catalog>", "no XML"),
            (b"<catalog><dataset urlPath=a b/></catalog>", "no XML"),
            (b"<catalog>\xff</catalog>", "not UTF-8"),
        ];
        for (bytes, reason) in cases {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(reason), "{}: {error}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_catalog_cut_anywhere_never_passes_for_a_whole_one() {
        for end in 0..CATALOG.len() - "</catalog>".len() {
            assert!(parse(&CATALOG.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }
}
