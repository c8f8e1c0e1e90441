//! Email by SMTP (RFC 5321), as text and HTML.
//!
//! The dialogue is held command by command rather than as one call, because one recipient that a server refuses must not
//! keep the message from the others: whoever was taken stays taken, whoever is to be tried again is tried alone.
//! `Message-ID` comes from the message's key, so that a repeat is recognised; all messages of an incident refer to one
//! id, so that mail programs keep them together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, Message};
use secrecy::ExposeSecret;

use super::limit::{cut, cut_end, units};
use super::{Attempt, Outgoing, Try};
use crate::config::{EmailChannel, MailTls};

/// Characters of a subject: mail programs show fewer.
const SUBJECT: usize = 180;
/// Characters of a body.
const BODY: usize = 200_000;
/// Messages whose recipients are remembered while some are still to be tried again.
const REMEMBERED: usize = 64;

/// Delivers to one list of recipients.
pub(super) struct Mailer {
    settings: EmailChannel,
    from: Mailbox,
    to: Vec<Mailbox>,
    tls: Option<TlsParameters>,
    /// Key of a message → recipients whose server has taken it already.
    taken: Mutex<BTreeMap<String, BTreeSet<Address>>>,
}

impl Mailer {
    pub(super) fn new(settings: &EmailChannel, extra_ca: &[PathBuf]) -> Result<Self, String> {
        let mailbox = |text: &String| -> Result<Mailbox, String> {
            text.parse().map_err(|e| format!("\"{text}\" is not a mail address: {e}"))
        };
        let to = settings.to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("it has no recipient: add one to \"to\"".into());
        }
        let tls = match settings.tls {
            MailTls::None => None,
            MailTls::Starttls | MailTls::Implicit => {
                Some(tls(&settings.host, extra_ca.iter().chain(&settings.extra_ca).map(PathBuf::as_path))?)
            }
        };
        Ok(Mailer { settings: settings.clone(), from: mailbox(&settings.from)?, to, tls, taken: Mutex::default() })
    }

    pub(super) async fn send(&self, out: &Outgoing, this: &Try) -> Attempt {
        match self.attempt(out, this).await {
            Ok(attempt) | Err(attempt) => attempt,
        }
    }

    async fn attempt(&self, out: &Outgoing, this: &Try) -> Result<Attempt, Attempt> {
        let message = self.message(out).map_err(|why| Attempt::refused(format!("the mail cannot be made: {why}")))?;
        let credentials = match (&self.settings.user, &self.settings.password) {
            (Some(user), Some(password)) => {
                let password = this.resolve(password).await?;
                Some(Credentials::new(user.clone(), password.expose_secret().to_owned()))
            }
            _ => None,
        };
        let mut smtp = self.connect(credentials, this.left()).await?;
        let result = self.transact(&mut smtp, out, &message).await;
        // Politeness only, and beside: the message is taken or not by now, and waiting could lose that answer.
        tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(2), smtp.quit()).await.is_ok() });
        result
    }

    async fn connect(
        &self,
        credentials: Option<Credentials>,
        timeout: Duration,
    ) -> Result<AsyncSmtpConnection, Attempt> {
        let s = &self.settings;
        let port = s.port.unwrap_or(match s.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        });
        let place = format!("{}:{port}", s.host);
        let fail = |e: Error| judge(&format!("{place}: "), &e);
        let hello = ClientId::default();
        let first = if s.tls == MailTls::Implicit { self.tls.clone() } else { None };
        let mut smtp = AsyncSmtpConnection::connect_tokio1((s.host.as_str(), port), Some(timeout), &hello, first, None)
            .await
            .map_err(fail)?;
        if let (MailTls::Starttls, Some(tls)) = (s.tls, &self.tls) {
            if !smtp.can_starttls() {
                return Err(Attempt::refused(format!(
                    "{place} does not offer STARTTLS: nothing was sent; set tls = \"implicit\" or \"none\" if that is meant"
                )));
            }
            smtp.starttls(tls.clone(), &hello).await.map_err(fail)?;
        }
        if let Some(credentials) = credentials {
            smtp.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|e| judge(&format!("{place}, login: "), &e))?;
        }
        Ok(smtp)
    }

    /// `MAIL`, a `RCPT` for everybody who has not been served, `DATA`.
    async fn transact(
        &self,
        smtp: &mut AsyncSmtpConnection,
        out: &Outgoing,
        message: &Message,
    ) -> Result<Attempt, Attempt> {
        let fail = |e: Error| judge("", &e);
        let key = out.key();
        let served = self.taken().get(&key).cloned().unwrap_or_default();
        let open: Vec<Address> = self.to.iter().map(|m| m.email.clone()).filter(|a| !served.contains(a)).collect();
        let mut options = Vec::new();
        // RFC 6531: such addresses may only be sent to a server that says it takes them.
        if !std::iter::once(&self.from.email).chain(&open).all(|a| a.to_string().is_ascii()) {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Attempt::refused("the server takes no addresses beyond ASCII (SMTPUTF8)"));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        smtp.command(Mail::new(Some(self.from.email.clone()), options)).await.map_err(fail)?;
        let (mut taken, mut refused, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for address in open {
            match smtp.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => taken.push(address),
                Err(e) if e.is_permanent() => refused.push(format!("{address} refused: {}", words(&e))),
                Err(e) if e.is_transient() => later.push(format!("{address} later: {}", words(&e))),
                Err(e) => return Err(fail(e)),
            }
        }
        let all = self.to.len();
        if taken.is_empty() {
            let why = refused.iter().chain(&later).cloned().collect::<Vec<_>>().join("; ");
            let mut attempt = if later.is_empty() { Attempt::refused(why) } else { Attempt::retrying(why) };
            // Those served before count: the message did go out.
            if later.is_empty() && !served.is_empty() {
                attempt = Attempt::accepted(format!("{} of {all} recipients; {}", served.len(), attempt.answer));
                self.taken().remove(&key);
            }
            return Ok(attempt);
        }
        smtp.command(Data).await.map_err(fail)?;
        let said = smtp.message(&message.formatted()).await.map_err(fail)?;
        let said = format!("{} {}", said.code(), said.message().collect::<Vec<_>>().join(" "));
        let count = served.len() + taken.len();
        if later.is_empty() {
            self.taken().remove(&key);
        } else {
            self.remember(key, taken);
        }
        let mut parts = vec![said];
        if count < all {
            parts.insert(0, format!("{count} of {all} recipients"));
        }
        parts.extend(refused.into_iter().chain(later.iter().cloned()));
        let answer = parts.join("; ");
        Ok(if later.is_empty() { Attempt::accepted(answer) } else { Attempt::retrying(answer) })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, BTreeSet<Address>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: String, addresses: Vec<Address>) {
        let mut taken = self.taken();
        if taken.len() >= REMEMBERED && !taken.contains_key(&key) {
            // Forgetting costs a repeat with the same Message-ID, not a message.
            taken.pop_first();
        }
        taken.entry(key).or_default().extend(addresses);
    }

    /// The mail, the same bytes for every attempt but for its MIME boundary.
    fn message(&self, out: &Outgoing) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let text = format!("{}\n\n-- \n{}\n", cut(&out.text(), BODY, units), out.footer());
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(out.queued_at.ms()).unwrap_or(0));
        let mut mail = Message::builder()
            .from(self.from.clone())
            .subject(cut_end(&out.headline(), SUBJECT, units))
            .date(at.max(UNIX_EPOCH).min(UNIX_EPOCH + Duration::from_secs(253_402_300_799)) as SystemTime)
            .message_id(Some(format!("<{}@{domain}>", out.key())));
        for recipient in &self.to {
            mail = mail.to(recipient.clone());
        }
        if let Some(incident) = &out.incident {
            let thread = format!("<{}.{}@{domain}>", token(&out.system), token(&incident.id));
            mail = mail.in_reply_to(thread.clone()).references(thread);
            mail = mail.raw_header(raw("X-Mayday-Incident", &token(&incident.id)));
        }
        mail.raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Mayday-Journal", &token(&out.head)))
            .multipart(MultiPart::alternative_plain_html(text, html(out)))
            .map_err(|e| e.to_string())
    }
}

/// Letters, digits and dashes only: nothing that could end a header.
fn token(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn html(out: &Outgoing) -> String {
    let escape =
        |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!(
        "<!DOCTYPE html>\n<html><body style=\"font-family:sans-serif\">\n<h2 style=\"margin:0 0 12px\">{}</h2>\n\
         <div style=\"white-space:pre-wrap\">{}</div>\n<hr><p style=\"color:#666;font-size:small\">{}</p>\n</body></html>\n",
        escape(&out.headline()),
        escape(&cut(&out.text(), BODY, units)),
        escape(&out.footer())
    )
}

fn tls<'a>(host: &str, extra_ca: impl Iterator<Item = &'a Path>) -> Result<TlsParameters, String> {
    // lettre's default store is empty on a host without certificates; Mozilla's stand in, as everywhere else in here.
    let store = if rustls_native_certs::load_native_certs().certs.is_empty() {
        CertificateStore::WebpkiRoots
    } else {
        CertificateStore::Default
    };
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(store);
    for file in extra_ca {
        let pem = std::fs::read(file).map_err(|e| format!("reading certificates from {}: {e}", file.display()))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|_| format!("reading certificates from {}: it is not PEM", file.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|e| format!("TLS to {host} cannot be set up: {}", words(&e)))
}

/// The attempt that an error makes: what the server refused for good, and what no repeat can change, is refused.
fn judge(place: &str, error: &Error) -> Attempt {
    let answer = format!("{place}{}", words(error));
    if error.is_permanent() || error.is_client() { Attempt::refused(answer) } else { Attempt::retrying(answer) }
}

/// `550 no such user`: code and words of the server, or the error and its cause.
fn words(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match error.status() {
        Some(code) => format!("{code} {source}").trim().to_owned(),
        None if source.is_empty() => error.to_string(),
        None if error.is_timeout() => format!("timed out: {source}"),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::outgoing;

    fn mailer() -> Mailer {
        let settings = EmailChannel {
            host: "mail.example.org".into(),
            port: None,
            tls: MailTls::None,
            user: None,
            password: None,
            from: "Mayday <mayday@example.org>".into(),
            to: vec!["a@example.org".into(), "B <b@example.org>".into()],
            extra_ca: Vec::new(),
        };
        Mailer::new(&settings, &[]).unwrap()
    }

    fn headers(mail: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(mail).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        head.split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn nobody_can_add_a_header_or_a_recipient() {
        let mut out = outgoing();
        out.subject = "down\r\nBcc: victim@example.net\r\n\r\nhello".into();
        out.system = "x\r\nBcc: victim@example.net".into();
        out.id = "m-1>\r\nX-Evil: 1".into();
        out.head = "9f\r\nX-Evil: 1".into();
        if let Some(incident) = &mut out.incident {
            incident.id = "INC\r\nX-Evil: 1".into();
        }
        let mail = mailer().message(&out).unwrap();
        let names: Vec<String> =
            headers(&mail.formatted()).iter().filter_map(|l| l.split_once(':')).map(|(n, _)| n.to_owned()).collect();
        assert!(!names.iter().any(|n| n == "Bcc" || n == "X-Evil"), "{names:?}");
        assert_eq!(mail.envelope().to().len(), 2);
    }

    #[test]
    fn a_repeat_has_the_same_id_and_an_incident_is_one_thread() {
        let out = outgoing();
        let find = |mail: &Message, name: &str| {
            headers(&mail.formatted()).into_iter().find(|l| l.starts_with(name)).unwrap_or_default()
        };
        let (a, b) = (mailer().message(&out).unwrap(), mailer().message(&out).unwrap());
        for name in ["Message-ID:", "References:", "Date:", "Auto-Submitted:"] {
            assert!(!find(&a, name).is_empty(), "{name}");
            assert_eq!(find(&a, name), find(&b, name));
        }
        assert!(find(&a, "Message-ID:").contains("@example.org>"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_makes_a_mail_of_seven_bits(subject in "(\\PC|[\r\n\x00]){0,400}", body in "(\\PC|[\r\n\x00]){0,2000}") {
            let mut out = outgoing();
            out.subject = subject;
            out.body = body;
            let bytes = mailer().message(&out).unwrap().formatted();
            proptest::prop_assert!(bytes.is_ascii());
            let longest = bytes.split(|&b| b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            proptest::prop_assert!(longest <= 1000, "a line of {}", longest);
        }
    }
}
