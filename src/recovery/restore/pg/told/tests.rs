//! What is taken from the statements about a database, and what is not.

use super::*;

fn of(statements: &[&str]) -> Described {
    let all: Vec<String> = statements.iter().map(|s| (*s).to_owned()).collect();
    plain(&all, "15.18 (Debian)")
}

const MADE: &str =
    "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';";

#[test]
fn all_that_pg_dump_writes_is_taken_apart() {
    let told = of(&[
        MADE,
        "ALTER DATABASE shop OWNER TO app_owner;",
        "COMMENT ON DATABASE shop IS 'it''s prod; yes';",
        "ALTER DATABASE shop CONNECTION LIMIT = 77;",
        "ALTER DATABASE shop SET search_path TO '$user', 'public', 'odd, name';",
        "ALTER ROLE \"Odd ;Role\" IN DATABASE shop SET statement_timeout TO '7s';",
        "ALTER DATABASE shop SET \"app.motto\" TO E'it''s; back\\\\slash';",
        "REVOKE CONNECT,TEMPORARY ON DATABASE shop FROM PUBLIC;\n\
         GRANT CONNECT ON DATABASE shop TO app_rw WITH GRANT OPTION;\nSET SESSION AUTHORIZATION app_rw;\n\
         GRANT CONNECT ON DATABASE shop TO \"Odd ;Role\";\nRESET SESSION AUTHORIZATION;",
    ]);
    assert_eq!(told.unsaid, Vec::<String>::new());
    assert_eq!((told.like.owner.as_str(), told.like.limit), ("app_owner", 77));
    assert_eq!(told.like.comment.as_deref(), Some("it's prod; yes"));
    assert_eq!(told.create.encoding.as_deref(), Some("UTF8"));
    assert_eq!(told.create.collate.as_deref(), Some("C.UTF-8"));
    let shown = told.shown("side", "me", false);
    for wanted in [
        "ALTER DATABASE \"side\" CONNECTION LIMIT 77",
        "REVOKE ALL ON DATABASE \"side\" FROM PUBLIC",
        "GRANT CONNECT ON DATABASE \"side\" TO \"app_rw\" WITH GRANT OPTION",
        "GRANT CONNECT ON DATABASE \"side\" TO \"Odd ;Role\"",
        "ALTER DATABASE \"side\" SET \"search_path\" TO '$user', 'public', 'odd, name'",
        "ALTER ROLE \"Odd ;Role\" IN DATABASE \"side\" SET \"statement_timeout\" TO '7s'",
    ] {
        assert!(shown.iter().any(|s| s == wanted), "{wanted}: {shown:#?}");
    }
    assert!(shown.iter().any(|s| s.contains("app.motto") && s.contains("it''s; back")), "{shown:#?}");
    assert!(shown.iter().all(|s| !s.contains("shop") && !s.contains("TO PUBLIC")), "{shown:#?}");
}

/// Nothing is executed that was not taken apart: whatever else stands there is named, and does nothing.
#[test]
fn a_hostile_dump_gets_nothing_executed() {
    for bad in [
        "ALTER DATABASE other SET work_mem TO '1MB';",
        "ALTER DATABASE shop SET work_mem TO '1MB'; DROP TABLE users;",
        "GRANT pg_execute_server_program TO evil;",
        "GRANT ALL ON DATABASE postgres TO evil;",
        "GRANT CONNECT ON DATABASE shop TO evil; ALTER ROLE evil SUPERUSER;",
        "COMMENT ON DATABASE shop IS 'x' || pg_read_file('/etc/passwd');",
        "COMMENT ON DATABASE shop IS 'open",
        "ALTER DATABASE shop SET work_mem TO (select 1);",
        "ALTER DATABASE shop RENAME TO other;",
        "ALTER DATABASE shop CONNECTION LIMIT = 5 /* x */;",
        "ALTER ROLE postgres PASSWORD 'x';",
        "ALTER ROLE postgres IN DATABASE template1 SET work_mem TO '1MB';",
        "\\! touch /tmp/x",
        "DO $$ begin execute 'drop database shop'; end $$;",
    ] {
        let told = of(&[MADE, bad]);
        assert!(!told.unsaid.is_empty(), "{bad}: passed over without a word");
        for sql in told.shown("side", "me", false) {
            let known = ["ALTER DATABASE \"side\" ", "GRANT ", "REVOKE ALL ON DATABASE \"side\" FROM "];
            assert!(known.iter().any(|k| sql.starts_with(k)) && !sql.contains("DROP"), "{bad}: {sql}");
            assert!(sql.starts_with("ALTER") || sql.contains(" ON DATABASE \"side\" "), "{bad}: {sql}");
        }
    }
    // A text stays a text, whatever is in it.
    let told = of(&[MADE, "COMMENT ON DATABASE shop IS 'a''; DROP DATABASE shop; --';"]);
    assert_eq!(told.like.comment.as_deref(), Some("a'; DROP DATABASE shop; --"));
    assert_eq!(told.like.comment_statement("side"), "COMMENT ON DATABASE \"side\" IS 'a''; DROP DATABASE shop; --'");
    let huge = format!("COMMENT ON DATABASE shop IS '{}';", "x".repeat(MOST));
    assert!(of(&[MADE, &huge]).like.comment.is_none());
}

#[test]
fn what_is_not_said_is_named_or_is_the_default() {
    let silent = of(&[]);
    let lacking = silent.lacking().unwrap();
    for what in [OWNER, PLACE, PRIVILEGES, LIMIT, SETTINGS, COMMENT] {
        assert!(lacking.contains(what), "{what}: {lacking}");
    }
    // Silence of one who would have said it is the default.
    let made = of(&[MADE, "ALTER DATABASE shop OWNER TO o;"]);
    assert_eq!(made.lacking(), None);
    // Before version 11 only pg_dumpall said it.
    let old = plain(&[MADE.to_owned()], "10.23");
    assert!(old.lacking().unwrap().contains(PRIVILEGES));

    let now = Properties { owner: "me".into(), limit: -1, ..Properties::default() };
    let open = |p: &Properties| p.privileges.contains(&(None, "CONNECT".into(), false));
    assert!(!open(&silent.wanted(&now, true)), "the side copy stays closed");
    let live = silent.wanted(&now, false);
    assert!(open(&live), "and what is live is open, as PostgreSQL's default is");
    assert!(live.privileges.contains(&(Some("me".into()), "CREATE".into(), false)), "{live:?}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[A-Za-z'\"\\\\;=, .0-9eE$-]{0,200}") {
        let told = of(&[MADE, &text]);
        for sql in told.shown("side", "me", false) {
            proptest::prop_assert!(sql.contains("\"side\""), "{}", sql);
        }
    }
}
