//! Masking secrets at the moment of capture: those known by value, and those known by shape.

use std::borrow::Cow;

/// What stands in place of a secret.
pub const MASKED: &str = "***";

/// A set of known secret values. Values shorter than four characters are not masked by value: they would blank out
/// ordinary text.
#[derive(Clone, Default)]
pub struct Mask {
    values: Vec<String>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} values)", self.values.len())
    }
}

impl Mask {
    /// Longest first, so that a secret that contains another is masked whole. Each value is masked also in its
    /// percent-encoded and JSON-escaped form.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for value in values {
            for line in value.lines().chain(std::iter::once(value.as_str())) {
                if line.trim().len() < 4 {
                    continue;
                }
                all.push(percent(line));
                all.push(line.replace('\\', "\\\\").replace('"', "\\\""));
                all.push(line.to_owned());
            }
        }
        all.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        all.dedup();
        Mask { values: all }
    }

    /// The longest known value in bytes: how much a streaming reader has to hold back so that none is split.
    pub fn longest(&self) -> usize {
        self.values.first().map_or(0, String::len)
    }

    /// `text` without any known value and without passwords in addresses, bearer tokens and common token shapes.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for value in &self.values {
            if out.contains(value.as_str()) {
                out = Cow::Owned(out.replace(value.as_str(), MASKED));
            }
        }
        match shapes(&out) {
            Some(masked) => Cow::Owned(masked),
            None => out,
        }
    }
}

/// What a secret address gives away when only a part of it is repeated: its passwords, and the tokens in its path and
/// query. Nothing for a value that is no address.
pub fn parts(value: &str) -> Vec<String> {
    let mut found = passwords_in_addresses(value);
    for rest in value.split("://").skip(1) {
        let rest = rest.split(char::is_whitespace).next().unwrap_or_default();
        let Some(at) = rest.find(['/', '?', '#']) else { continue };
        // Short and plain words are names of databases and endpoints; a token is long, or mixes letters and digits.
        let is_token = |t: &&str| t.len() >= 20 || (t.len() >= 8 && t.contains(|c: char| c.is_ascii_digit()));
        found.extend(rest[at..].split(['/', '?', '#', '&', '=']).filter(is_token).map(str::to_owned));
    }
    found
}

/// `postgres://app:hunter2@db/app` → `hunter2`.
pub fn passwords_in_addresses(value: &str) -> Vec<String> {
    value
        .split("://")
        .skip(1)
        .filter_map(|rest| {
            let authority = rest.split(['/', '?', '#', ' ', ',']).next()?;
            let (user, _) = authority.rsplit_once('@')?;
            let (_, password) = user.split_once(':')?;
            (password.len() >= 4).then(|| password.to_owned())
        })
        .collect()
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Masks `scheme://user:password@`, `Bearer …`, `password=…` and well-known token prefixes. `None` when there is none.
fn shapes(text: &str) -> Option<String> {
    let patterns = patterns();
    if !patterns.iter().any(|(re, _)| re.is_match(text)) {
        return None;
    }
    let mut out = text.to_owned();
    for (re, with) in patterns {
        out = re.replace_all(&out, *with).into_owned();
    }
    (out != text).then_some(out)
}

fn patterns() -> &'static [(regex::Regex, &'static str)] {
    static PATTERNS: std::sync::OnceLock<Vec<(regex::Regex, &'static str)>> = std::sync::OnceLock::new();
    PATTERNS.get_or_init(|| {
        [
            (r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@", "$1:***@"),
            (r"(?i)\b(bearer|geniekey|basic)\s+[A-Za-z0-9._~+/=-]{8,}", "$1 ***"),
            (
                r#"(?i)(\b|_)(password|passwd|passphrase|pwd|pgpassword|mysql_pwd|rediscli_auth|secret|token|api[_-]?key|access[_-]?key(?:_id)?|secret[_-]?key|private[_-]?key|client[_-]?secret)(\\*["']?\s*[=:]\s*\\*["']?)[^\s"'&,;\\]{4,}"#,
                "$1$2$3***",
            ),
            (r"https://hooks\.slack\.com/services/[A-Za-z0-9/_-]+", "https://hooks.slack.com/services/***"),
            // Slack, GitHub, GitLab, Stripe, OpenAI and others: a prefix that stands for nothing else.
            (
                r"\b(xox[abceoprs]-|xapp-|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|oas)-|[sr]k_(?:live|test)_|whsec_|sk-|npm_|pypi-|dop_v1_|hvs\.|dckr_pat_|shpat_)[A-Za-z0-9_-]{8,}",
                "$1***",
            ),
            (r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b", "***"),
            (r"\bAIza[0-9A-Za-z_-]{35}", "AIza***"),
            (r"\bya29\.[0-9A-Za-z_-]{20,}", "ya29.***"),
            (r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", "SG.***"),
            (r"\bGOCSPX-[A-Za-z0-9_-]{20,}", "GOCSPX-***"),
            (r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}", "AGE-SECRET-KEY-***"),
            (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", "***"),
            // Whole, or cut off before its end; also where line ends are written as two characters. Only what is of the key
            // goes: words that follow stay.
            (
                r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?)-----(?:\s|\\+[nr])*(?:[A-Za-z-]+: [^\n\\]*(?:\s|\\+[nr])+)*(?:[A-Za-z0-9+/=]{16,}(?:\s|\\+[nr])*)+(?:(?:[A-Za-z0-9+/=]{1,15}(?:\s|\\+[nr])*)?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?",
                "-----BEGIN $1----- *** ",
            ),
        ]
        .into_iter()
        .filter_map(|(re, with)| regex::Regex::new(re).ok().map(|re| (re, with)))
        .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_vanish_in_every_form() {
        let mask = Mask::new(["s3cr/t\"x".to_owned()]);
        for text in ["a s3cr/t\"x b", "a s3cr%2Ft%22x b", "a s3cr/t\\\"x b"] {
            assert_eq!(mask.apply(text), "a *** b");
        }
    }

    #[test]
    fn shapes_vanish_without_being_known() {
        let mask = Mask::default();
        for (text, wanted) in [
            ("postgres://app:hunter2@db/app", "postgres://app:***@db/app"),
            ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
            ("password=hunter22 host=db", "password=*** host=db"),
            ("nothing to see", "nothing to see"),
            ("https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/***"),
        ] {
            assert_eq!(mask.apply(text), wanted);
        }
    }

    #[test]
    fn tokens_of_many_kinds_vanish() {
        let long = "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z";
        for (text, secret) in [
            ("key AKIAIOSFODNN7EXAMPLE in use".to_owned(), "IOSFODNN7"),
            ("sts ASIAIOSFODNN7EXAMPLE".to_owned(), "IOSFODNN7"),
            (format!("aws_secret_access_key = {long}"), long),
            (format!("pushed with ghp_{long}"), long),
            (format!("and github_pat_{long}"), long),
            (format!("ghs_{long}"), long),
            (format!("glpat-{long}"), long),
            (format!("xoxb-1234567890-{long}"), long),
            (format!("xapp-1-{long}"), long),
            (format!("sk_live_{long}"), long),
            (format!("rk_test_{long}"), long),
            (format!("npm_{long}"), long),
            (format!("AIzaSy{}", &long[..33]), &long[..33]),
            (format!("Authorization: Bearer {long}"), long),
            (format!("postgres://user:{long}@db:5432/app"), long),
            (format!("PGPASSWORD={long} psql"), long),
            (format!("DB_PASSWORD={long}"), long),
            (format!("{{\"client_secret\":\"{long}\"}}"), long),
            (format!("{{\\\"password\\\":\\\"{long}\\\"}}"), long),
            (format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{long}"), long),
            (format!("-----BEGIN RSA PRIVATE KEY-----\n{long}\n{long}\nab==\n-----END RSA PRIVATE KEY-----"), long),
            (format!("-----BEGIN OPENSSH PRIVATE KEY-----\\n{long}\\n{long} and words"), long),
        ] {
            let masked = Mask::default().apply(&text).into_owned();
            assert!(!masked.contains(secret) && masked.contains(MASKED), "{text} -> {masked}");
        }
        let cut = format!("-----BEGIN PRIVATE KEY-----\n{long}\nwas in the repository, DB_PASSWORD=abcdefg too");
        let masked = Mask::default().apply(&cut).into_owned();
        assert!(masked.contains("was in the repository, DB_PASSWORD=***"), "{masked}");
    }

    #[test]
    fn hashes_ids_and_words_stay() {
        for text in [
            "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 is live",
            "request 018f6b1e-7c2a-7b61-9d62-1f6a2b3c4d5e failed",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "image registry.example.org/shop/api@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "journal 9f3a12cd, entry 61, run 01j9x3k2m4",
            "the token bucket is empty, the password was changed, a secret is missing",
            "the header -----BEGIN PRIVATE KEY----- stood in a log",
            "risk-assessment of the desk-booking service",
            "https://grafana.example.org/d/000000012/overview?orgId=1&from=now-6h",
            "/var/lib/postgresql/16/main/pg_wal/000000010000000A000000FE",
            "2026-11-20T02:14:07.318Z 16/B374D848 AKIA",
        ] {
            assert_eq!(Mask::default().apply(text), text);
        }
    }

    #[test]
    fn parts_of_secret_addresses_are_known_too() {
        for (value, wanted) in [
            ("postgres://app:hunter2@db/shop", vec!["hunter2"]),
            (
                "https://hooks.example.org/services/T0/B0/pl4nt-hook-7x?token=abcdef123",
                vec!["pl4nt-hook-7x", "abcdef123"],
            ),
            ("just-a-password", vec![]),
        ] {
            assert_eq!(parts(value), wanted, "{value}");
        }
    }

    #[test]
    fn short_values_do_not_blank_out_text() {
        assert_eq!(Mask::new(["a".to_owned()]).apply("banana"), "banana");
    }
}
