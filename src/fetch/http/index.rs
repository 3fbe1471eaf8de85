//! A folder as a page of links, as web servers make it: which of the links lead to files in the folder.

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};
use percent_encoding::percent_decode_str;
use url::Url;

/// The names that the links of a page lead to, decoded, where they lie right in `folder`, the page's own address. Other links (to
/// folders, up, away, or to the same page in another order) are left out; the names are unchecked.
///
/// # Errors
/// In words where the page is not UTF-8.
pub fn parse(page: &[u8], folder: &Url) -> Result<BTreeSet<String>, String> {
    let text =
        std::str::from_utf8(page).map_err(|error| format!("the page of links is not UTF-8 ({error})"))?;
    let links = Tokenizer::new(text).filter_map(|Ok(token)| match token {
        Token::StartTag(mut tag) if *tag.name == b"a"[..] => tag.attributes.remove(&b"href"[..]),
        _ => None,
    });
    Ok(links.filter_map(|link| name_in(folder, std::str::from_utf8(&link).ok()?)).collect())
}

/// The decoded name of a file right in `folder`.
fn name_in(folder: &Url, link: &str) -> Option<String> {
    let target = folder.join(link).ok()?;
    let name = target.path().strip_prefix(folder.path())?;
    let plain = target.origin() == folder.origin() && target.query().is_none() && !name.contains('/');
    let decoded = percent_decode_str(name).decode_utf8().ok()?;
    (plain && !name.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(page: &str) -> Vec<String> {
        let folder = Url::parse("https://example.org/data/nh/").unwrap();
        parse(page.as_bytes(), &folder).unwrap().into_iter().collect()
    }

    #[test]
    fn files_of_an_apache_page_are_found() {
        let page = r#"<html><head><title>Index of /data/nh</title></head><body><h1>Index of /data/nh</h1><table>
            <tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
            <tr><td><a href="/data/">Parent Directory</a></td></tr>
            <tr><td><a href="LATEST/">LATEST/</a></td></tr>
            <tr><td><a href="W_XX-ESA,SMOS_CS2,NH.nc">W_XX-ESA,SMOS_..&gt;</a></td><td>2026-03-01 12:00</td></tr>
            <tr><td><A HREF='b%25%2C1.nc'>b</A></td></tr></table></body></html>"#;
        assert_eq!(names(page), ["W_XX-ESA,SMOS_CS2,NH.nc", "b%,1.nc"]);
    }

    #[test]
    fn files_of_an_nginx_page_are_found_once_however_they_are_named() {
        let page = "<pre><a href=\"../\">../</a>\n<a href=\"a.nc\">a.nc</a> 01-Mar-2026\n\
                    <a href=/data/nh/a.nc>a</a><a href=\"https://example.org/data/nh/c.nc\">c</a></pre>";
        assert_eq!(names(page), ["a.nc", "c.nc"]);
    }

    #[test]
    fn links_that_lead_elsewhere_are_left_out() {
        let page = "<a href='../../x'>1</a><a href='https://evil.example/data/nh/x'>2</a><a href='/x'>3</a>\
                    <a href='a/x'>4</a><a href='javascript:x'>5</a><a href='x?y'>6</a><a>7</a><b href='x'>8</b><a href='%FF'>9</a>\
                    <!-- <a href='x'>10</a> --><a href='https://example.org:444/data/nh/x'>11</a><a href=''>12</a>";
        assert!(names(page).is_empty(), "{:?}", names(page));
    }

    #[test]
    fn what_a_link_hides_in_its_name_is_left_to_the_check_of_names() {
        assert_eq!(names("<a href='..%2Fx'>1</a><a href='a%00'>2</a>"), ["../x", "a\0"]);
    }
}
