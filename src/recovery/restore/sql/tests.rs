use super::*;

fn scan_in(text: &[u8], size: usize, rules: Rules) -> (Findings, String) {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(rules);
    for piece in text.chunks(size.max(1)) {
        scanner.feed(piece, &mut out);
    }
    let found = scanner.finish(&mut out);
    (found, String::from_utf8_lossy(&out).into_owned())
}

fn scan(text: &str) -> (Findings, String) {
    let whole = scan_in(text.as_bytes(), usize::MAX, Rules::default());
    for size in [1, 2, 3, 7] {
        assert_eq!(scan_in(text.as_bytes(), size, Rules::default()), whole, "in pieces of {size}: {text}");
    }
    whole
}

const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.18 (Debian)\n\n";
const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

#[test]
fn a_dump_of_one_database_passes_as_it_is() {
    let body = r#"SET standard_conforming_strings = on;
CREATE TABLE public."Odd;Name" (id integer, "a\b" text DEFAULT 'x'';\'::text);
ALTER TABLE public.t OWNER TO app_rw;
ALTER TABLE public.u OWNER TO "Ghost Role";
CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $_$
BEGIN
  -- CREATE DATABASE inside; \connect too
  EXECUTE 'DROP DATABASE app' || $1;
END $_$;
COPY public.t (id, name) FROM stdin;
1	\\connect app
2	DROP DATABASE app;
\N	'
\.

COMMENT ON TABLE public.t IS E'it\'s; \\x';
GRANT SELECT(a,b) ON TABLE public.t TO reader;
GRANT ALL ON TABLE public.t TO "Auditor" WITH GRANT OPTION;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO viewer;
CREATE POLICY p ON public.t FOR SELECT TO one, two USING ((name = 'to'::text));
SELECT pg_catalog.setval('public.s', 3, true);
/* a /* nested */ ; \connect */
"#;
    let text = format!("{HEAD}{body}{END}");
    let (found, out) = scan(&text);
    assert_eq!(out, text);
    assert!(found.by_pg_dump && found.complete && !found.open, "{found:?}");
    assert_eq!((found.rows, found.tables, found.objection(), found.incomplete()), (3, 1, None, None));
    assert_eq!(
        found.owners,
        ["Auditor", "Ghost Role", "app_rw", "maker", "one", "reader", "two", "viewer"].map(String::from).into()
    );
    assert_eq!(found.extensions, ["citext".to_owned()].into());
    assert!(found.server.starts_with("15.18"));
}

#[test]
fn what_would_reach_the_live_database_is_left_out_and_the_lines_stay() {
    for (text, wanted) in [
        ("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", "\nSELECT 1;\n\n"),
        ("CREATE DATABASE app WITH TEMPLATE = template0\n ENCODING = 'UTF8';\nSELECT 1;\n", "\n\nSELECT 1;\n"),
        ("\\connect app\n\nSELECT 1;\n", "\n\nSELECT 1;\n"),
        // As pg_dump connects to a database whose name has a blank in it.
        ("\\encoding SQL_ASCII\n\\connect -reuse-previous=on \"dbname='My Shop'\"\n\nSELECT 1;\n", "\n\n\nSELECT 1;\n"),
        ("\\encoding LATIN1\nSELECT 1;\n", "SET client_encoding = 'LATIN1';\nSELECT 1;\n"),
        ("ALTER DATABASE app OWNER TO boss;\n", "\n"),
        ("alter role app_rw in database app set work_mem to '64MB';\n", "\n"),
        ("COMMENT ON DATABASE app IS 'x; y';\n", "\n"),
        ("GRANT CONNECT,TEMPORARY ON DATABASE app TO app_rw;\n", "\n"),
        ("DROP DATABASE app;\n", "\n"),
        ("SECURITY LABEL FOR x ON DATABASE app IS 'y';\n", "\n"),
        // A column or table whose name is a word of ours.
        ("GRANT SELECT ON TABLE public.\"database\" TO x;\n", "GRANT SELECT ON TABLE public.\"database\" TO x;\n"),
        ("CREATE USER MAPPING FOR a SERVER b;\n", "CREATE USER MAPPING FOR a SERVER b;\n"),
        ("COMMENT ON SCHEMA public IS 'x';\n", "COMMENT ON SCHEMA public IS 'x';\n"),
    ] {
        let (found, out) = scan(text);
        assert_eq!(out, wanted, "{text}");
        assert_eq!(found.objection(), None, "{text}");
    }
}

#[test]
fn what_reaches_beyond_a_database_is_refused_and_never_given_on() {
    for (text, line) in [
        ("SELECT 1;\n\\! rm -rf /\n", 2),
        ("\\i /etc/passwd\n", 1),
        ("\\encoding 'x'; DROP TABLE t\n", 1),
        ("SELECT 1\n\\encoding LATIN1\n", 2),
        ("SELECT 'x' \\gexec\n", 1),
        ("CREATE ROLE root SUPERUSER;\n", 1),
        ("\n\nALTER ROLE postgres WITH PASSWORD 'md5…';\n", 3),
        ("GRANT a TO b;\n", 1),
        ("ALTER SYSTEM SET fsync = off;\n", 1),
        ("CREATE TABLESPACE x LOCATION '/y';\n", 1),
        ("GRANT CREATE ON TABLESPACE x TO y;\n", 1),
    ] {
        let (found, out) = scan(text);
        assert_eq!(found.refused.as_ref().map(|(l, _)| *l), Some(line), "{text}");
        let forbidden = text.lines().last().unwrap_or_default();
        assert!(!out.contains(forbidden) && found.objection().is_some(), "{out}");
    }
    let all = "-- PostgreSQL database cluster dump\nSELECT 1;\n";
    assert!(scan(all).0.objection().is_some_and(|o| o.contains("pg_dumpall")));
    assert!(scan("\\connect a\n\\connect b\nSELECT 1;\n").0.objection().is_some());
}

#[test]
fn a_dump_cut_anywhere_is_not_whole() {
    let text = format!("{HEAD}CREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\none\ntwo\n\\.\n\nSELECT 'x';\n{END}");
    let (found, _) = scan(&text);
    assert_eq!(found.incomplete(), None);
    let trailer = text.find("dump complete").unwrap() + "dump complete".len();
    for cut in 0..trailer {
        let (found, _) = scan_in(&text.as_bytes()[..cut], usize::MAX, Rules::default());
        assert!(found.incomplete().is_some(), "cut at {cut}: {:?}", &text[..cut]);
    }
    let again = format!("{text}CREATE TABLE later ();\n");
    assert!(scan(&again).0.incomplete().is_some(), "something follows the last line");
}

#[test]
fn strings_with_backslashes_end_where_the_server_ends_them() {
    let (found, out) = scan("SET standard_conforming_strings = off;\nSELECT 'a\\';DROP DATABASE app;\\'';\n");
    assert!(!found.open && out.contains("DROP DATABASE"), "it is within a text: {out}");
    let (_, out) = scan("SET standard_conforming_strings = on;\nSELECT 'a\\';DROP DATABASE app;\n");
    assert!(!out.contains("DROP DATABASE"), "the text ended before: {out}");
    let (_, out) = scan("SELECT E'a\\';DROP DATABASE app;';\n");
    assert!(out.contains("DROP DATABASE"));
    let (_, out) = scan("SELECT type'a\\';DROP DATABASE app;\n");
    assert!(!out.contains("DROP DATABASE"), "only a lone E makes escapes");
}

#[test]
fn settings_of_newer_dumps_are_left_out_where_the_server_does_not_know_them() {
    let text = "SET transaction_timeout = 0;\nSET lock_timeout = 0;\n";
    let (_, out) = scan_in(text.as_bytes(), 5, Rules { no_transaction_timeout: true, ..Rules::default() });
    assert_eq!(out, "\nSET lock_timeout = 0;\n");
    assert_eq!(scan(text).1, text);
}

proptest::proptest! {
    #[test]
    fn pieces_make_no_difference(parts in proptest::collection::vec(proptest::sample::select(vec![
        "'", "\"", "$$", "$a$", "$", "\\", "\\.", "\n", ";", "--", "/*", "*/", "E'", "e", " ", "COPY t FROM stdin;\n",
        "CREATE DATABASE ", "GRANT ", "ON ", "TO ", "1", "x", "\t",
    ]), 0..40), size in 1usize..9) {
        let text = parts.concat();
        let whole = scan_in(text.as_bytes(), usize::MAX, Rules::default());
        proptest::prop_assert_eq!(&scan_in(text.as_bytes(), size, Rules::default()), &whole);
        proptest::prop_assert!(whole.1.len() <= text.len());
    }
}

#[test]
fn tablespaces_are_named_and_left_out_where_asked_for() {
    let text = "SET default_tablespace = '';\nSET default_tablespace = fast;\nCREATE TABLE t (id int);\n\
                SET default_tablespace = \"Other Disk\";\nCREATE INDEX i ON t (id);\n";
    let (found, out) = scan(text);
    assert_eq!((found.tablespaces, out.as_str()), (["Other Disk", "fast"].map(String::from).into(), text));
    let (_, out) = scan_in(text.as_bytes(), 3, Rules { no_tablespaces: true, ..Rules::default() });
    assert_eq!(out, "\n\nCREATE TABLE t (id int);\n\nCREATE INDEX i ON t (id);\n");
}
