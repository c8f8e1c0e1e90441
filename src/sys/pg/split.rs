//! Taking apart a connection string into what the driver is given and what it is not.

use super::dsn::DsnError;

/// Parameters of libpq that change nothing for us and that the driver does not know.
const IGNORED: &[&str] = &[
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "fallback_application_name",
    "client_encoding",
    "requirepeer",
    "require_auth",
];

/// Parameters and their values, decoded.
type Ours = Vec<(String, String)>;

/// What the driver is not given: it keeps what it has in plain memory and repeats it in its errors.
fn is_ours(key: &str) -> bool {
    key == "password" || key.starts_with("ssl") || IGNORED.contains(&key)
}

/// Takes our parameters out of a URL: the password after the user, the others out of the query part.
pub(super) fn split_url(dsn: &str) -> Result<(String, Ours), DsnError> {
    let (base, query) = dsn.split_once('?').unwrap_or((dsn, ""));
    let mut ours = Vec::new();
    let mut base = base.to_owned();
    if let Some((front, place)) = base.split_once('@')
        && let Some((scheme, login)) = front.split_once("://")
        && let Some((user, password)) = login.split_once(':')
    {
        ours.push(("password".to_owned(), percent_decode(password)?));
        base = format!("{scheme}://{user}@{place}");
    }
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if is_ours(key) {
            ours.push((key.to_owned(), percent_decode(value)?));
        } else {
            rest.push(pair);
        }
    }
    let rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((rest, ours))
}

fn percent_decode(text: &str) -> Result<String, DsnError> {
    let bad = || DsnError("a % in it is not followed by two hexadecimal digits, or the result is not UTF-8".to_owned());
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else { return Err(bad()) };
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|_| bad())
}

/// Takes our parameters out of `key=value` pairs: spaces around `=` allowed, values in single quotes, `\` escapes.
pub(super) fn split_pairs(dsn: &str) -> Result<(String, Ours), DsnError> {
    let mut ours = Vec::new();
    let mut rest = String::new();
    let mut chars = dsn.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok((rest, ours));
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            return Err(DsnError(
                "a parameter is not followed by “=” (or it should begin with postgres://)".to_owned(),
            ));
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        let quoted = chars.next_if_eq(&'\'').is_some();
        loop {
            match chars.next() {
                None if quoted => return Err(DsnError("a quoted value does not end".to_owned())),
                None => break,
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) => value.push(c),
            }
        }
        if is_ours(&key) {
            ours.push((key, value));
        } else {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            rest.push_str(&format!("{key}='{value}' "));
        }
    }
}
