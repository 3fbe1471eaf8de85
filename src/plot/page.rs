//! A page that holds everything it shows, and can be sent as one file.

use super::escape;

const STYLE: &str = ":root { color-scheme: light; } body { margin: 0; background: #f2f5f7; color: #1c2733; font: 16px/1.5 system-ui, sans-serif; } \
main { max-width: 1500px; margin: 0 auto; padding: 1rem 1.5rem 3rem; } h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; } \
p { max-width: 62rem; } .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; background: #fff; font-variant-numeric: tabular-nums; } \
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d5dde3; text-align: left; } \
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(34rem, 100%), 1fr)); gap: .8rem; } \
.charts svg { width: 100%; height: auto; background: #fff; border: 1px solid #d5dde3; border-radius: 4px; }";

/// A whole HTML page with a heading; `body` is HTML.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

/// An HTML table; every cell is a text.
#[must_use]
pub fn table(titles: &[String], rows: &[Vec<String>]) -> String {
    let row = |cells: &[String], tag: &str| {
        let between = format!("</{tag}><{tag}>");
        let cells: Vec<_> = cells.iter().map(|cell| escape(cell)).collect();
        format!("<tr><{tag}>{}</{tag}></tr>\n", cells.join(&between))
    };
    let body: String = rows.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead>{}</thead>\n<tbody>\n{body}</tbody></table></div>\n",
        row(titles, "th")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_break_the_page() {
        let made = page("<b>", &table(&["a & b".into()], &[vec!["<script>".into()]]));
        assert!(!made.contains("<b>") && !made.contains("<script>"), "{made}");
        assert!(made.contains("a &amp; b"));
    }
}
