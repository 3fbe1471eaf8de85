//! Passwords and what is as good as one, read from files: never from the configuration, never into a log.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::Server;

use super::FetchError;

/// systemd names here the folder of the credentials that it has loaded for a service.
const CREDENTIALS_FOLDER: &str = "CREDENTIALS_DIRECTORY";

/// The part of a file's mode that is for others than its owner.
const OTHERS: u32 = 0o077;

/// Whom a server knows us as; a password is never shown, not in debug output either.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user; for an S3 store the access key's id.
    pub user: String,
    /// The password; for an S3 store the secret key.
    pub password: SecretString,
}

impl Credentials {
    /// Those of a server; `None` where the configuration names none.
    ///
    /// # Errors
    /// [`FetchError::Server`] when they are named and cannot be had, or others may read them.
    pub fn of(name: &str, server: &Server) -> Result<Option<Self>, FetchError> {
        let Some(named) = &server.credentials else { return Ok(None) };
        let found = Self::named("credentials", named);
        found.map(Some).map_err(|reason| FetchError::Server { server: name.to_owned(), reason })
    }

    /// Those in the file that a key of the configuration names: an absolute path, or the name of a systemd credential.
    ///
    /// # Errors
    /// In words, with the remedy, when they cannot be had, or others may read them.
    pub fn named(key: &str, named: &Path) -> Result<Self, String> {
        find(key, named, credentials_folder().as_deref()).and_then(|path| read(&path))
    }

    /// Whether what a key of the configuration names is a systemd credential that this process has not: where to look is said to it
    /// without its being there, too.
    #[must_use]
    pub fn are_out_of_reach(named: &Path) -> bool {
        let is_there = |folder: PathBuf| folder.join(named).is_file();
        is_name(named) && !credentials_folder().is_some_and(is_there)
    }
}

/// The first line of a file that a key of the configuration names, such as a URL that only few may know.
///
/// # Errors
/// In words, with the remedy, when it cannot be had, or others may read it.
pub(super) fn secret_line(key: &str, named: &Path) -> Result<SecretString, String> {
    let path = find(key, named, credentials_folder().as_deref())?;
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let text = SecretString::from(text);
    match text.expose_secret().lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err(format!("{} has nothing in its first line; write there what {key} is for", path.display())),
    }
}

fn credentials_folder() -> Option<PathBuf> {
    env::var_os(CREDENTIALS_FOLDER).map(PathBuf::from)
}

/// Whether it is the plain name of a systemd credential.
fn is_name(named: &Path) -> bool {
    let mut parts = named.components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// The file that `named` stands for; `folder` is where systemd keeps credentials.
fn find(key: &str, named: &Path, folder: Option<&Path>) -> Result<PathBuf, String> {
    if named.is_absolute() {
        // systemd guards its folder by other means than the mode of the files.
        if !folder.is_some_and(|folder| named.starts_with(folder)) {
            refuse_shared(named)?;
        }
        return Ok(named.to_owned());
    }
    let shown = named.display();
    if !is_name(named) {
        return Err(format!(
            "{key} = \"{shown}\" is neither an absolute path nor the plain name of a systemd credential; give one of them"
        ));
    }
    match folder {
        Some(folder) => Ok(folder.join(named)),
        None => Err(format!(
            "{key} = \"{shown}\" is the name of a systemd credential, which a service has and a shell has not; add \
             LoadCredential={shown}:/path to the service, try by hand as docs/operations.md says under Credentials, or give the absolute path of \
             a file"
        )),
    }
}

/// Refuses a file that anybody but its owner may touch.
fn refuse_shared(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "the credentials in {shown} are open to others than the owner (mode {mode:03o}); change the password if others use \
         this machine, and run: chmod 600 {shown}"
    ))
}

fn read(path: &Path) -> Result<Credentials, String> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let text = SecretString::from(text);
    let mut lines = text.expose_secret().lines().map(str::trim_end);
    match (lines.next(), lines.next()) {
        (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
            Ok(Credentials { user: user.to_owned(), password: SecretString::from(password) })
        }
        _ => Err(format!(
            "{} holds no credentials; write the user in its first line and the password in its second",
            path.display()
        )),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!(
        "the credentials in {} cannot be read ({error}); put them there, readable for the user that Nilas runs as",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn file(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("provider");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn found(named: &Path, folder: Option<&Path>) -> Result<Credentials, String> {
        find("credentials", named, folder).and_then(|path| read(&path))
    }

    #[test]
    fn user_and_password_are_the_first_two_lines() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["aurora\npolar night", "aurora\r\npolar night\r\n", "aurora\npolar night\nsince 2026\n"]
        {
            let credentials = found(&file(folder.path(), text, 0o600), None).unwrap();
            assert_eq!(credentials.user, "aurora");
            assert_eq!(credentials.password.expose_secret(), "polar night");
            assert!(!format!("{credentials:?}").contains("night"));
        }
    }

    #[test]
    fn a_plain_name_is_looked_up_where_systemd_keeps_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "aurora\nnight\n", 0o644);
        assert_eq!(found(Path::new("provider"), Some(folder.path())).unwrap().user, "aurora");
        assert_eq!(found(&path, Some(folder.path())).unwrap().user, "aurora");
        let without = found(Path::new("provider"), None).unwrap_err();
        assert!(without.contains("LoadCredential=provider:"), "{without}");
        for astray in ["../provider", "sub/provider", ".."] {
            let refused = found(Path::new(astray), Some(folder.path())).unwrap_err();
            assert!(refused.contains("neither an absolute path nor"), "{refused}");
        }
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o610, 0o660] {
            let path = file(folder.path(), "aurora\nnight\n", mode);
            let refused = found(&path, None).unwrap_err();
            assert!(
                refused.contains(&format!("(mode {mode:o})")) && refused.contains("chmod 600"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_secret_line_is_the_first_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "https://example.org/token \nmore\n", 0o600);
        let line = secret_line("notify.webhook.url_file", &path).unwrap();
        assert_eq!(line.expose_secret(), "https://example.org/token");
        assert!(!format!("{line:?}").contains("token"));
        let path = file(folder.path(), "\ntoken\n", 0o600);
        let refused = secret_line("notify.webhook.url_file", &path).unwrap_err();
        assert!(refused.contains("notify.webhook.url_file") && !refused.contains("token"), "{refused}");
        let relative = secret_line("notify.webhook.url_file", Path::new("../x")).unwrap_err();
        assert!(relative.starts_with("notify.webhook.url_file = \"../x\""), "{relative}");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_content() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "secret\n", "\nsecret\n", "secret\n\n"] {
            let path = file(folder.path(), text, 0o600);
            let refused = found(&path, None).unwrap_err();
            assert!(refused.contains(path.to_str().unwrap()) && refused.contains("its second"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        let missing = found(&folder.path().join("nothing"), None).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
