//! Whether the settings for telling people can be used; nothing is sent.

use super::templates::Templates;
use super::webhook::Heartbeat;
use super::{Courier, NotifyError, SmtpCourier, WebhookCourier, host_name};
use crate::config::{HeartbeatSettings, MailSettings, Notify, WebhookSettings};

/// Looks at credentials, authorities, addresses and templates: for each way its name, and what is configured or wrong. That nobody
/// will be told is said, and is no error.
pub fn look_at(config: &Notify) -> [(&'static str, Result<String, NotifyError>); 4] {
    [
        ("mail", mail(&config.mail)),
        ("webhook", webhook(&config.webhook)),
        ("heartbeat", heartbeat(&config.heartbeat)),
        ("templates", templates(config)),
    ]
}

fn mail(settings: &MailSettings) -> Result<String, NotifyError> {
    if !settings.enabled {
        return Ok("off: nobody is told by mail when something needs them (notify.mail.enabled)".to_owned());
    }
    let place = SmtpCourier::new(settings)?.place();
    Ok(format!(
        "by {place}, failures to {}; `nilas notify test` sends one",
        settings.recipients.failure.join(", ")
    ))
}

fn webhook(settings: &WebhookSettings) -> Result<String, NotifyError> {
    if !settings.enabled {
        return Ok("off".to_owned());
    }
    Ok(format!("to {}", WebhookCourier::new(settings)?.place()))
}

fn heartbeat(settings: &HeartbeatSettings) -> Result<String, NotifyError> {
    if !settings.is_configured() {
        return Ok("off: no watcher outside notices when this machine is down".to_owned());
    }
    let place = Heartbeat::new(settings)?.place();
    Ok(format!("to {place}, every {} min", settings.interval_minutes))
}

fn templates(config: &Notify) -> Result<String, NotifyError> {
    Templates::load(config.templates.as_deref(), &config.webhook.template, &host_name())?;
    Ok(config.templates.as_deref().map_or("built-in".to_owned(), |folder| folder.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &Notify, name: &str) -> Result<String, String> {
        let found = look_at(config).into_iter().find(|(what, _)| *what == name).unwrap();
        found.1.map_err(|error| error.to_string())
    }

    #[test]
    fn that_nobody_will_be_told_is_said_and_no_error() {
        let config = Notify::default();
        assert!(look_at(&config).iter().all(|(_, found)| found.is_ok()));
        assert!(found(&config, "mail").unwrap().starts_with("off: nobody is told by mail"));
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_section() {
        let mut config = Notify::default();
        config.mail.enabled = true;
        config.mail.server = "smtp.example.org".to_owned();
        config.mail.from = "nilas@example.org".to_owned();
        config.mail.recipients.failure = vec!["duty@example.org".to_owned()];
        assert!(
            found(&config, "mail")
                .unwrap()
                .starts_with("by smtp.example.org:587, failures to duty@example.org")
        );
        config.mail.credentials = Some("/nowhere/smtp".into());
        let wrong = found(&config, "mail").unwrap_err();
        assert!(
            wrong.starts_with("[notify.mail] the credentials in /nowhere/smtp cannot be read"),
            "{wrong}"
        );
        config.mail.credentials = None;
        config.mail.authorities = Some("/nowhere/own.pem".into());
        let wrong = found(&config, "mail").unwrap_err();
        assert!(wrong.contains("/nowhere/own.pem") && wrong.contains("PEM"), "{wrong}");

        config.webhook.enabled = true;
        config.webhook.url_file = Some("/nowhere/hook".into());
        let wrong = found(&config, "webhook").unwrap_err();
        assert!(wrong.starts_with("[notify.webhook]") && wrong.contains("/nowhere/hook"), "{wrong}");
        config.webhook.url_file = None;
        config.webhook.url = Some("https://chat.example.org/secret".to_owned());
        assert_eq!(found(&config, "webhook").unwrap(), "to chat.example.org");
        config.heartbeat.url = Some("https://alive.example.org/secret".to_owned());
        assert_eq!(found(&config, "heartbeat").unwrap(), "to alive.example.org, every 5 min");
        config.templates = Some("/nowhere".into());
        assert!(found(&config, "templates").unwrap_err().contains("/nowhere"));
    }
}
