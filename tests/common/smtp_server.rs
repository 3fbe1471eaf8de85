//! A real mail server that the tests talk to: aiosmtpd, installed by pip into a folder of the build, started with
//! `tests/tools/smtp_server.py`. Where it cannot be installed, the tests say that they were skipped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use nilas::config::{MailSecurity, MailSettings, Recipients};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpSocket;

pub(crate) const USER: &str = "nilas-at-sea";
pub(crate) const PASSWORD: &str = "thin ice, +4 °C";

/// A Python, and the folder in which aiosmtpd is.
static AIOSMTPD: LazyLock<Result<(&str, PathBuf), String>> = LazyLock::new(install);

/// The server; it ends when dropped.
pub(crate) struct SmtpServer {
    folder: TempDir,
    security: MailSecurity,
    has_login: bool,
    refused: Vec<String>,
    port: u16,
    process: Option<Child>,
    /// What keeps its port from other servers while it does not listen.
    kept: Vec<TcpSocket>,
}

/// A mail as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Addresses of the envelope.
    pub(crate) to: Vec<String>,
    pub(crate) is_encrypted: bool,
    pub(crate) user: Option<String>,
    /// Its bytes.
    pub(crate) mail: Vec<u8>,
}

impl SmtpServer {
    /// Starts one for `localhost`; none where it cannot be, which is said.
    #[allow(
        clippy::allow_attributes,
        clippy::explicit_write,
        reason = "the harness keeps back what `println!` says in tests that pass"
    )]
    pub(crate) fn start(security: MailSecurity, has_login: bool, refused: &[&str]) -> Option<Self> {
        if let Err(reason) = &*AIOSMTPD {
            writeln!(std::io::stdout(), "skipped: there is no mail server to talk to: {reason}").unwrap();
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("spool")).unwrap();
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("authority.pem"), identity.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), identity.signing_key.serialize_pem()).unwrap();
        let refused = refused.iter().map(|&address| address.to_owned()).collect();
        let mut server =
            Self { folder, security, has_login, refused, port: 0, process: None, kept: Vec::new() };
        server.begin();
        Some(server)
    }

    /// Begins to listen, at the same port as before; returns when it does.
    pub(crate) fn begin(&mut self) {
        self.kept.clear();
        let (python, site) = AIOSMTPD.as_ref().unwrap();
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/smtp_server.py");
        let mut command = Command::new(python);
        command.arg(tool).env("PYTHONPATH", site).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("--spool").arg(self.folder.path().join("spool")).args(["--port", &self.port.to_string()]);
        command.args([
            "--security",
            match self.security {
                MailSecurity::StartTls => "starttls",
                MailSecurity::Tls => "tls",
                MailSecurity::None => "none",
            },
        ]);
        if self.security != MailSecurity::None {
            command
                .arg("--certificate")
                .arg(self.authorities())
                .arg("--key")
                .arg(self.folder.path().join("key.pem"));
        }
        if self.has_login {
            command.args(["--user", USER, "--password", PASSWORD]);
        }
        for address in &self.refused {
            command.args(["--refuse", address]);
        }
        let log = File::create(self.folder.path().join("log")).unwrap();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.port = line.trim().parse().unwrap_or_else(|_| {
            panic!("no mail server: {}", fs::read_to_string(self.folder.path().join("log")).unwrap())
        });
        self.process = Some(process);
    }

    /// Ends it; what has arrived stays.
    pub(crate) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            self.keep_port();
        }
    }

    fn keep_port(&mut self) {
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let bound = addresses.into_iter().map(|address| {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind((address, self.port).into()).map(|()| socket)
        });
        // A machine may do without one of the two.
        self.kept = bound.filter_map(io::Result::ok).collect();
    }

    /// Where its certificate is, which is its own authority.
    pub(crate) fn authorities(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A file with user and password as Nilas reads it.
    pub(crate) fn credentials(&self, password: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path =
            self.folder.path().join(if password == PASSWORD { "credentials" } else { "wrong-credentials" });
        fs::write(&path, format!("{USER}\n{password}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The settings that lead to it, with one recipient for everything.
    pub(crate) fn settings(&self) -> MailSettings {
        let duty = vec!["Vakt Nødetat <duty@example.org>".to_owned()];
        MailSettings {
            enabled: true,
            server: "localhost".to_owned(),
            port: self.port,
            security: self.security,
            credentials: self.has_login.then(|| self.credentials(PASSWORD)),
            authorities: (self.security != MailSecurity::None).then(|| self.authorities()),
            from: "Nilas Øst <nilas@ice.example.org>".to_owned(),
            list_id: "nilas.ice.example.org".to_owned(),
            recipients: Recipients {
                failure: duty.clone(),
                warning: duty.clone(),
                notice: duty.clone(),
                digest: duty,
            },
        }
    }

    /// What has arrived so far, in this order.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        let spool = self.folder.path().join("spool");
        let mut mails: Vec<PathBuf> = fs::read_dir(&spool)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        mails.sort();
        mails.iter().map(|path| arrived(path)).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn arrived(path: &Path) -> Arrived {
    let envelope = fs::read_to_string(path.with_extension("json")).unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let to = envelope["to"].as_array().unwrap().iter().map(|address| address.as_str().unwrap().to_owned());
    Arrived {
        to: to.collect(),
        is_encrypted: envelope["encrypted"].as_bool().unwrap(),
        user: envelope["user"].as_str().map(str::to_owned),
        mail: fs::read(path).unwrap(),
    }
}

/// Installs aiosmtpd where that has not been done yet. Test programs may run at the same time.
fn install() -> Result<(&'static str, PathBuf), String> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let has_pip = |python: &&str| {
        let asked = Command::new(python)
            .args(["-m", "pip", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    };
    let python =
        ["python3", "/usr/bin/python3"].into_iter().find(has_pip).ok_or("there is no python3 with pip")?;
    let lock = File::create(root.join("aiosmtpd-lock")).unwrap();
    lock.lock().unwrap();
    let site = root.join("aiosmtpd");
    if site.is_dir() {
        return Ok((python, site));
    }
    let partial = tempfile::tempdir_in(root).unwrap();
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/smtp_server.txt");
    let output = Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ])
        .args(["--only-binary=:all:", "--target"])
        .arg(partial.path().join("site"))
        .arg("--requirement")
        .arg(wanted)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(format!("pip: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    fs::rename(partial.path().join("site"), &site).unwrap();
    Ok((python, site))
}
