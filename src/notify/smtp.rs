//! Letters by mail: SMTP with STARTTLS, TLS or neither, with a login or without.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::authentication::{Credentials as Login, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};
use tokio::time;

use super::compose::Sender;
use super::courier::{Courier, Undelivered, causes};
use super::letter::Letter;
use super::{NotifyError, host_name};
use crate::config::{MailSecurity, MailSettings};
use crate::fetch::{Credentials, read_authorities};

/// A connection must stand within this time.
const CONNECT: Duration = Duration::from_secs(20);
/// The connection, the greeting, TLS and the login together take at most this long: a server that says nothing would otherwise hold up each
/// letter anew.
const LONGEST_WELCOME: Duration = Duration::from_mins(1);
/// All of a letter's way takes at most this long: a server may look at a mail for ten minutes before it says that it has it (RFC 5321,
/// section 4.5.3.2), and who does not wait for that sends it twice.
const LONGEST: Duration = Duration::from_mins(12);
/// The farewell takes at most this long.
const FAREWELL: Duration = Duration::from_secs(5);

/// Takes letters to a mail server.
pub struct SmtpCourier {
    server: String,
    port: u16,
    security: MailSecurity,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    sender: Sender,
}

impl SmtpCourier {
    /// Prepares to speak to the mail server; nothing is sent yet.
    ///
    /// # Errors
    /// [`NotifyError::Settings`] where credentials, authorities or addresses cannot be used.
    pub fn new(settings: &MailSettings) -> Result<Self, NotifyError> {
        let refuse = |reason: String| NotifyError::Settings { section: "notify.mail", reason };
        let from = settings
            .from
            .parse()
            .map_err(|error| refuse(format!("from = \"{}\": {error}", settings.from)))?;
        let credentials =
            settings.credentials.as_deref().map(|named| Credentials::named("credentials", named));
        let tls = match settings.security {
            MailSecurity::None => None,
            MailSecurity::StartTls | MailSecurity::Tls => Some(tls(settings).map_err(refuse)?),
        };
        Ok(Self {
            server: settings.server.clone(),
            port: settings.port,
            security: settings.security,
            tls,
            credentials: credentials.transpose().map_err(refuse)?,
            hello: hello(),
            sender: Sender { from, list_id: settings.list_id.clone() },
        })
    }

    /// Hands a mail over; the connection on which it was taken.
    async fn send(&self, letter: &Letter, recipient: &str) -> Result<AsyncSmtpConnection, Undelivered> {
        let mail = self.sender.mail(letter, recipient).map_err(Undelivered::Letter)?;
        let connected = time::timeout(LONGEST_WELCOME, self.connect()).await;
        let mut connection =
            connected.unwrap_or_else(|_| Err(self.silence())).map_err(Undelivered::Channel)?;
        let sent = connection.send(mail.envelope(), &mail.formatted()).await;
        sent.map(|_| connection).map_err(|error| {
            Undelivered::Letter(self.reason(&format!("does not take the mail to {recipient}"), &error))
        })
    }

    /// A connection on which mails may be sent.
    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let at_once = self.tls.clone().filter(|_| self.security == MailSecurity::Tls);
        let server = (self.server.as_str(), self.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, at_once, None).await;
        let mut connection = connected.map_err(|error| {
            let remedy = "check notify.mail.server, port and security, the network and, where it is about certificates, authorities";
            format!("{}; {remedy}", self.reason("cannot be reached", &error))
        })?;
        if self.security == MailSecurity::StartTls {
            let tls = self.tls.clone().ok_or_else(|| "there are no settings for TLS".to_owned())?;
            connection.starttls(tls, &self.hello).await.map_err(|error| {
                let remedy = "check notify.mail.security, port and authorities";
                format!("{}; {remedy}", self.reason("does not change to TLS", &error))
            })?;
        }
        if let Some(Credentials { user, password }) = &self.credentials {
            let login = Login::new(user.clone(), password.expose_secret().to_owned());
            let welcome = connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await;
            welcome.map_err(|error| {
                let remedy = "check the file that notify.mail.credentials names";
                format!("{}; {remedy}", self.reason(&format!("does not let {user} in"), &error))
            })?;
        }
        Ok(connection)
    }

    fn silence(&self) -> String {
        format!(
            "the mail server {} lets nobody in within {} s; check notify.mail.server, port and security, and the server",
            self.place(),
            LONGEST_WELCOME.as_secs()
        )
    }

    /// What went wrong, in words without the password, should the server repeat it.
    fn reason(&self, what: &str, error: &dyn Error) -> String {
        let said = causes(error);
        let said = self.credentials.as_ref().map_or(said.clone(), |known| without(&said, &known.password));
        format!("the mail server {} {what} ({said})", self.place())
    }
}

#[async_trait]
impl Courier for SmtpCourier {
    async fn deliver(&self, letter: &Letter, recipient: &str) -> Result<(), Undelivered> {
        let sent = time::timeout(LONGEST, self.send(letter, recipient)).await.unwrap_or_else(|_| {
            let seconds = LONGEST.as_secs();
            Err(Undelivered::Letter(format!(
                "the mail server {} did not take the mail within {seconds} s",
                self.place()
            )))
        });
        // The mail has been taken over, whatever the server says to the farewell, or does not.
        let _ = time::timeout(FAREWELL, sent?.quit()).await;
        Ok(())
    }

    fn place(&self) -> String {
        format!("{}:{}", self.server, self.port)
    }
}

fn without(text: &str, secret: &SecretString) -> String {
    text.replace(secret.expose_secret(), "***")
}

fn tls(settings: &MailSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.server.clone());
    for authority in read_authorities(settings.authorities.as_deref())? {
        let certificate = Certificate::from_der(authority.to_vec());
        builder = builder.add_root_certificate(
            certificate.map_err(|error| format!("authorities cannot be used ({error})"))?,
        );
    }
    builder.build().map_err(|error| {
        format!("TLS cannot be prepared ({error}); check authorities, and those that the system trusts")
    })
}

/// How we introduce ourselves.
fn hello() -> ClientId {
    let name = host_name();
    let is_plain = name.contains('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    if is_plain { ClientId::Domain(name) } else { ClientId::default() }
}
