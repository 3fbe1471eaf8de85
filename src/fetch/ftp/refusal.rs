//! What the refusals of an FTP server mean.

use suppaftp::types::Response;
use suppaftp::{FtpError, Status};

use crate::fetch::FetchError;
use crate::text::excerpt;

/// What it means that something failed on a connection that had stood.
pub(super) fn failure(url: &str, error: FtpError) -> FetchError {
    let url = url.to_owned();
    match error {
        FtpError::UnexpectedResponse(answer) => refusal(url, &answer),
        FtpError::ConnectionError(error) => FetchError::Broken { url, reason: error.to_string() },
        // That a certificate is of other names is said with all of them.
        FtpError::SecureError(reason) => FetchError::Unreachable { url, reason: excerpt(&reason) },
        other => FetchError::Answer { url, reason: excerpt(&other.to_string()) },
    }
}

/// RFC 959 has one code, 550, for files that are not there and for files that are not given away, and servers use 530 also when
/// too many are logged in: the words decide.
fn refusal(url: String, answer: &Response) -> FetchError {
    let words = words(answer);
    let lower = words.to_lowercase();
    let speaks_of = |any: &[&str]| any.iter().any(|part| lower.contains(part));
    match answer.status {
        Status::FileUnavailable if speaks_of(&["denied", "permission", "not allowed", "forbidden"]) => {
            FetchError::Denied { url, reason: words }
        }
        Status::FileUnavailable => FetchError::NotFound { url },
        Status::NotLoggedIn if speaks_of(&["too many", "maximum"]) => {
            FetchError::Busy { url, answer: words, retry_after: None }
        }
        Status::NotLoggedIn
        | Status::InvalidCredentials
        | Status::LoginNeedAccount
        | Status::StoringNeedAccount => FetchError::Denied { url, reason: words },
        Status::CannotOpenDataConnection | Status::TransferAborted => {
            FetchError::Broken { url, reason: words }
        }
        _ if is_transient(answer) => FetchError::Busy { url, answer: words, retry_after: None },
        _ => FetchError::Answer { url, reason: format!("the server answers {words}") },
    }
}

/// Whether the server means that it may say otherwise later.
pub(super) fn is_transient(answer: &Response) -> bool {
    answer.body.starts_with(b"4")
}

/// Whether the server does not know the command, or does not take it this way.
pub(super) fn is_unknown_command(answer: &Response) -> bool {
    let unknown = [
        Status::CommandNotImplemented,
        Status::BadCommand,
        Status::BadArguments,
        Status::NotImplemented,
        Status::NotImplementedParameter,
    ];
    unknown.contains(&answer.status)
}

/// The server's words with their code, in one line.
pub(super) fn words(answer: &Response) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let words =
        text.split(|part: char| part.is_whitespace() || part.is_control()).filter(|word| !word.is_empty());
    excerpt(&words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answer: &str) -> FetchError {
        let code: u32 = answer[..3].parse().unwrap();
        let answer = Response::new(Status::from(code), format!("{answer}\r\n").into_bytes());
        failure("ftp://host/file", FtpError::UnexpectedResponse(answer))
    }

    #[test]
    fn each_refusal_has_its_meaning() {
        assert!(of("550 File not found").is_not_found());
        for denied in
            ["550 file: Permission denied", "530 Login incorrect.", "532 Need account", "430 Invalid"]
        {
            assert!(matches!(of(denied), FetchError::Denied { reason, .. } if reason == denied), "{denied}");
        }
        for busy in [
            "421 Too many",
            "450 In use",
            "451 Local error",
            "452 No space",
            "530 Maximum number reached",
            "499 x",
        ] {
            assert!(matches!(of(busy), FetchError::Busy { answer, .. } if answer == busy), "{busy}");
        }
        for broken in ["425 No data connection", "426 Aborted"] {
            assert!(matches!(of(broken), FetchError::Broken { reason, .. } if reason == broken), "{broken}");
        }
        for other in ["500 What?", "553 Name", "599 x", "200 OK"] {
            assert!(
                matches!(of(other), FetchError::Answer { reason, .. } if reason.ends_with(other)),
                "{other}"
            );
        }
    }

    #[test]
    fn long_answers_become_one_short_line() {
        let FetchError::Denied { reason, .. } =
            of(&format!("530-No\r\n\x1b[31m entry\r\n530 {}", "x".repeat(9999)))
        else {
            panic!("another error");
        };
        assert!(reason.starts_with("530-No [31m entry 530 xxx"), "{reason}");
        assert_eq!(reason.chars().count(), 200);
    }
}
