//! A letter as a mail: headers that let mail programs group, sort and not answer it; text and HTML; the picture inside.

use std::time::SystemTime;

use lettre::Message;
use lettre::message::header::{ContentDisposition, ContentId, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::letter::{Letter, PICTURE_ID};
use crate::ledger::Severity;

/// Who writes.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) from: Mailbox,
    pub(super) list_id: String,
}

impl Sender {
    /// The mail to a recipient.
    ///
    /// # Errors
    /// In words, where it cannot be made a mail.
    pub(super) fn mail(&self, letter: &Letter, recipient: &str) -> Result<Message, String> {
        let to: Mailbox =
            recipient.parse().map_err(|error| format!("\"{recipient}\" is no address ({error})"))?;
        let mut builder = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&letter.subject)
            .date(SystemTime::from(letter.date))
            .message_id(Some(self.message_id(&letter.id)))
            .raw_header(header("List-Id", format!("Nilas <{}>", self.list_id)))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()));
        if let Some(first) = &letter.follows {
            builder = builder.in_reply_to(self.message_id(first)).references(self.message_id(first));
        }
        if letter.severity == Severity::Failure {
            builder = builder.raw_header(header("Importance", "high".to_owned()));
        }
        builder.multipart(body(letter)?).map_err(|error| error.to_string())
    }

    fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.from.email.domain())
    }
}

fn body(letter: &Letter) -> Result<MultiPart, String> {
    let Some(picture) = &letter.picture else {
        return Ok(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()));
    };
    let png = ContentType::parse("image/png").map_err(|error| error.to_string())?;
    let image = SinglePart::builder()
        .header(png)
        .header(ContentDisposition::inline_with_name(&picture.name))
        .header(ContentId::from(format!("<{PICTURE_ID}>")))
        .body(picture.png.clone());
    let html = MultiPart::related().singlepart(SinglePart::html(letter.html.clone())).singlepart(image);
    Ok(MultiPart::alternative().singlepart(SinglePart::plain(letter.text.clone())).multipart(html))
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
