//! Whatever the text, reading it ends with a configuration or with faults, and both can be shown.

use proptest::prelude::*;

use mayday::config;

use crate::{meaning, nowhere, shipped};

/// What must hold for any text.
fn survives(text: &str) -> Result<(), TestCaseError> {
    match config::parse(text, nowhere()) {
        Ok(config) => {
            config.catalog();
            config.secret_refs();
            config::effective(&config);
        }
        Err(faults) => {
            prop_assert!(!faults.is_empty());
            let lines = text.lines().count().max(1) + 1;
            for fault in &faults {
                prop_assert!(fault.line <= lines && fault.span.start <= text.len(), "{fault:?}");
                prop_assert!(!fault.message.is_empty());
                let line = fault.to_string();
                prop_assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line:?}");
            }
            let starts: Vec<usize> = faults.iter().map(|f| f.span.start).collect();
            prop_assert!(starts.is_sorted());
            prop_assert!(config::render(&faults, text, false).contains(&faults[0].message));
            config::render(&faults, text, true);
        }
    }
    Ok(())
}

/// Pieces from which texts near to a configuration are made.
fn pieces() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "[system]",
        "[[service]]",
        "[[service.http]]",
        "[service.postgres]",
        "[[backup]]",
        "[[channel]]",
        "[defaults]",
        "name = \"a\"",
        "name = \"b\"",
        "url = \"http://h/\"",
        "dsn = \"postgres://u:p@h/d\"",
        "every = \"1s\"",
        "every = 1s",
        "depends_on = [\"a\", \"b\"]",
        "status = [",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "=",
        ".",
        "\n",
        "\r\n",
        "# x",
        "\u{0}",
        "é",
        "🦀",
        "control = { docker = \"x\" }",
        "password = \"hunter22\"",
        "files = { path = \"/b\", pattern = \"*\" }",
        "restore = { folder = { path = \"/c\" } }",
        "\\u0007",
        "inf",
        "nan",
        "-1",
        "1e400",
        "0x_",
        "99999999999999999999",
    ];
    prop::collection::vec(prop::sample::select(WORDS).prop_map(str::to_owned), 0..40).prop_map(|p| p.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_to_its_end(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
        survives(&text)?;
    }

    #[test]
    fn nearly_a_configuration_is_read_to_its_end(text in pieces()) {
        survives(&text)?;
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// One edit anywhere in a shipped file, as a slip of the hand makes it.
    #[test]
    fn a_shipped_file_with_a_slip_is_read_to_its_end(
        which in 0usize..5,
        at in 0.0f64..1.0,
        cut in 0usize..30,
        put in "[\\PC\\x00-\\x7f]{0,6}",
    ) {
        let (_, text) = shipped().swap_remove(which);
        let chars: Vec<char> = text.chars().collect();
        let from = ((chars.len() as f64) * at) as usize;
        let to = (from + cut).min(chars.len());
        let edited: String = chars[..from].iter().copied().chain(put.chars()).chain(chars[to..].iter().copied()).collect();
        survives(&edited)?;
    }

    /// Lines of a shipped file in another order.
    #[test]
    fn shuffled_lines_are_read_to_their_end(which in 0usize..5, seed in prop::collection::vec(any::<u16>(), 400)) {
        let (_, text) = shipped().swap_remove(which);
        let mut lines: Vec<(u16, &str)> = text.lines().enumerate().map(|(i, l)| (seed[i % seed.len()], l)).collect();
        lines.sort();
        survives(&lines.into_iter().map(|(_, l)| l).collect::<Vec<_>>().join("\n"))?;
    }

    /// Durations and sizes are printed so that they read back exactly.
    #[test]
    fn what_is_in_force_reads_back(
        every_ms in 2u64..10_000_000_000,
        body in 1u64..u64::MAX / 2,
        text in "\\PC{0,30}",
        key in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}",
    ) {
        prop_assume!(mayday::text::clean(&text) == text);
        let quoted = toml::Value::String(text.clone()).to_string();
        let source = format!(
            "[system]\nname = \"s\"\n[[service]]\nname = \"a\"\nimpact = {quoted}\n[service.http]\nurl = \"http://h/\"\n\
             method = \"POST\"\nbody = {quoted}\nevery = \"{every_ms}ms\"\ntimeout = \"1ms\"\nmax_body = \"{body}\"\n\
             headers = {{ \"{key}\" = {{ env = \"X\" }} }}\n"
        );
        let Ok(config) = config::parse(&source, nowhere()) else {
            // Only what the reader refuses for a reason: a header value of the text is not in it.
            return Err(TestCaseError::fail(format!("{:?}", config::parse(&source, nowhere()))));
        };
        let again = config::parse(&config::effective(&config), nowhere());
        prop_assert_eq!(again.map(meaning).map_err(|f| f[0].to_string()), Ok(meaning(config)));
    }
}
