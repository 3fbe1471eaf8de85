//! The authorities that a server's certificate may come from, beside those that the system trusts.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The certificates of a file in PEM; none where no file is named.
///
/// # Errors
/// In words when the file is named and cannot be used.
pub fn read(path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let refuse =
        |reason: String| format!("authorities = \"{}\" {reason}; give a file in PEM", path.display());
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(refuse("holds no certificate".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(refuse(format!("cannot be read ({error})"))),
    }
}
