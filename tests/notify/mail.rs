//! Mail to a real server, with TLS, a login, and recipients that it does not take.

use std::time::{Duration, Instant};

use mayday::config::{ChannelKind, EmailChannel, MailTls, SecretRef};
use mayday::domain::message::Delivery;
use mayday::notify::Sender;

use crate::support::{self, Smtp, SmtpOptions, TestCa};
use crate::{LONG, SECOND, channel, outgoing, secrets, send};

fn mail(server: &Smtp, to: &[&str], tls: MailTls, login: bool) -> EmailChannel {
    EmailChannel {
        host: "localhost".into(),
        port: Some(server.port()),
        tls,
        user: login.then(|| "mayday".into()),
        password: login.then(|| SecretRef::Env("PASSWORD".into())),
        from: "Mayday <mayday@example.org>".into(),
        to: to.iter().map(|t| (*t).to_owned()).collect(),
        extra_ca: Vec::new(),
    }
}

fn mailer(settings: EmailChannel, password: &str) -> Sender {
    let kind = ChannelKind::Email(Box::new(settings));
    Sender::new(&channel(kind, LONG), &[], secrets(&[("PASSWORD", password.to_owned())])).unwrap()
}

#[tokio::test]
async fn mail_arrives_as_text_and_html() {
    let server = Smtp::start();
    let sender = mailer(mail(&server, &["a@example.org", "B <b@example.org>"], MailTls::None, false), "");
    let attempt = send(&sender).await;
    assert_eq!(attempt.result, Delivery::Accepted, "{attempt:?}");
    assert!(attempt.answer.contains("queued as 000001"), "{attempt:?}");
    let mails = server.wait_for_mails(1, LONG);
    assert_eq!(mails[0].to, ["a@example.org", "b@example.org"]);
    let data = &mails[0].data;
    for part in [
        "Message-ID: <crazy-gary.m-01j.1795140847318@example.org>",
        "Subject: [P0] INC-2026-004 Complete outage",
        "References: <crazy-gary.INC-2026-004@example.org>",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "We are restoring &lt;the database&gt; &amp; watching.",
        "journal 9f3a12cd",
    ] {
        assert!(data.contains(part), "{part} is missing in {data}");
    }
}

#[tokio::test]
async fn mail_over_starttls_with_a_login() {
    let ca = TestCa::new();
    let dir = support::scratch();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    let server = Smtp::start_with(SmtpOptions {
        tls: Some(ca.localhost()),
        require_tls: true,
        login: Some(("mayday".into(), "mail-password-7".into())),
    });
    let mut settings = mail(&server, &["a@example.org"], MailTls::Starttls, true);
    // Without the authority nothing is said, the password least of all.
    let attempt = send(&mailer(settings.clone(), "mail-password-7")).await;
    assert_eq!(attempt.result, Delivery::Retrying, "{attempt:?}");
    assert!(attempt.answer.contains("certificate"), "{attempt:?}");
    settings.extra_ca = vec![file];
    let attempt = send(&mailer(settings.clone(), "mail-password-7")).await;
    assert_eq!(attempt.result, Delivery::Accepted, "{attempt:?}");
    let mails = server.wait_for_mails(1, LONG);
    assert_eq!((mails[0].tls, mails[0].user.as_deref()), (true, Some("mayday")));
    let attempt = send(&mailer(settings.clone(), "wrong-password-8")).await;
    assert_eq!(attempt.result, Delivery::Refused, "{attempt:?}");
    assert!(attempt.answer.contains("login") && !attempt.answer.contains("wrong-password-8"), "{attempt:?}");
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn mail_is_not_sent_in_the_clear_where_tls_was_asked_for() {
    let server = Smtp::start();
    let attempt = send(&mailer(mail(&server, &["a@example.org"], MailTls::Starttls, false), "")).await;
    assert_eq!(attempt.result, Delivery::Refused, "{attempt:?}");
    assert!(attempt.answer.contains("STARTTLS"), "{attempt:?}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn one_bad_recipient_does_not_keep_it_from_the_others() {
    let server = Smtp::start();
    let to = ["a@example.org", "refused@example.org", "greylisted@example.org"];
    let sender = mailer(mail(&server, &to, MailTls::None, false), "");
    let first = sender.send(&outgoing(), 1).await;
    assert_eq!(first.result, Delivery::Retrying, "{first:?}");
    assert!(first.answer.contains("1 of 3 recipients") && first.answer.contains("550"), "{first:?}");
    let second = sender.send(&outgoing(), 2).await;
    assert_eq!(second.result, Delivery::Accepted, "{second:?}");
    assert!(second.answer.contains("2 of 3 recipients"), "{second:?}");
    let mails = server.wait_for_mails(2, LONG);
    assert_eq!(mails[0].to, ["a@example.org"]);
    // Whoever has it already does not get it again.
    assert_eq!(mails[1].to, ["greylisted@example.org"]);
}

#[tokio::test]
async fn mail_that_nobody_takes() {
    let server = Smtp::start();
    for (to, result, said) in [
        (vec!["refused@example.org"], Delivery::Refused, "550"),
        (vec!["later@example.org"], Delivery::Retrying, "451"),
        (vec!["refused@example.org", "later@example.org"], Delivery::Retrying, "451"),
    ] {
        let attempt = send(&mailer(mail(&server, &to, MailTls::None, false), "")).await;
        assert_eq!(attempt.result, result, "{to:?}: {attempt:?}");
        assert!(attempt.answer.contains(said), "{to:?}: {attempt:?}");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_hangs_or_is_not_there() {
    let server = Smtp::start();
    let kind = ChannelKind::Email(Box::new(mail(&server, &["a@example.org"], MailTls::None, false)));
    let sender = Sender::new(&channel(kind, SECOND), &[], secrets(&[])).unwrap();
    server.signal(libc::SIGSTOP);
    let began = Instant::now();
    let attempt = send(&sender).await;
    assert_eq!(attempt.result, Delivery::Retrying, "{attempt:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    server.signal(libc::SIGCONT);
    let mut settings = mail(&server, &["a@example.org"], MailTls::None, false);
    settings.port = Some(support::free_port());
    let attempt = send(&mailer(settings, "")).await;
    assert_eq!(attempt.result, Delivery::Retrying, "{attempt:?}");
    assert!(attempt.answer.contains("refused"), "{attempt:?}");
}

#[test]
fn a_channel_that_cannot_work_is_told_at_once() {
    let settings = |from: &str, to: &[&str]| EmailChannel {
        host: "localhost".into(),
        port: None,
        tls: MailTls::None,
        user: None,
        password: None,
        from: from.into(),
        to: to.iter().map(|t| (*t).to_owned()).collect(),
        extra_ca: Vec::new(),
    };
    for (settings, said) in [
        (settings("nobody", &["a@example.org"]), "\"nobody\" is not a mail address"),
        (settings("a@example.org", &["b@example.org\r\nBcc: c@example.net"]), "is not a mail address"),
        (settings("a@example.org", &[]), "no recipient"),
    ] {
        let kind = ChannelKind::Email(Box::new(settings));
        let error = Sender::new(&channel(kind, LONG), &[], secrets(&[])).unwrap_err();
        assert!(error.starts_with("channel incidents: ") && error.contains(said), "{error}");
    }
}
