//! What the PostgreSQL tools say, made into one sentence that says what to do.

use crate::text;

/// From the tool's name, how it ended, and its last lines.
pub fn tool(name: &str, ended: &str, said: &[String]) -> String {
    // The first error is the cause, what follows are its consequences.
    let error = said.iter().position(|l| l.contains("ERROR:") || l.contains("FATAL:") || l.contains("error:"));
    let (first, detail) = match error {
        Some(at) => (said.get(at), said.get(at + 1)),
        None => (said.last(), None),
    };
    let Some(first) = first else { return format!("{name}: {ended}, without a word") };
    let mut message = first.trim().to_owned();
    if let Some(detail) = detail.filter(|d| d.contains("DETAIL:") || d.contains("Command was:")) {
        message.push(' ');
        message.push_str(detail.trim());
    }
    let all = said.join("\n");
    let hint = hint(&all);
    let message = text::clean(&message).into_owned();
    if hint.is_empty() { format!("{name}: {ended}: {message}") } else { format!("{name}: {ended}: {message}: {hint}") }
}

fn hint(said: &str) -> String {
    let quoted_after = |mark: &str| {
        let rest = said.split_once(mark)?.1;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    };
    if said.contains("does not exist")
        && let Some(role) = quoted_after("role \"").filter(|r| said.contains(&format!("role \"{r}\" does not exist")))
    {
        return format!(
            "create it on the server (CREATE ROLE {};) and start again",
            crate::sys::pg::quote_ident(&role)
        );
    }
    if let Some(file) = quoted_after("could not open extension control file \"") {
        let extension = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".control").to_owned();
        return format!("install the package of the extension {extension} on the server and start again");
    }
    if said.contains("is not available") && said.contains("extension \"") {
        return "install the package of the extension on the server and start again".into();
    }
    if let Some(space) = quoted_after("tablespace \"")
        && said.contains(&format!("tablespace \"{space}\" does not exist"))
    {
        let (space, at) = (crate::sys::pg::quote_ident(&space), "a folder that its server owns");
        return format!("make it on the server (CREATE TABLESPACE {space} LOCATION '…', {at}) and start again");
    }
    for (mark, advice) in [
        ("permission denied to create extension", "use a superuser in the `dsn` of the restore"),
        ("must be superuser", "use a superuser in the `dsn` of the restore"),
        ("must be able to SET ROLE", "use a role that is a member of the owners in the copy, or a superuser"),
        ("must be member of role", "use a role that is a member of the owners in the copy, or a superuser"),
        ("No space left on device", "make room on the server's disk"),
        ("unsupported version", "install a newer postgresql-client or choose another copy"),
        (
            "unrecognized configuration parameter",
            "the dump is of a newer PostgreSQL than the server: choose another copy or a newer server",
        ),
        ("could not read from input file", "the archive is cut off or damaged: choose another copy"),
        ("unexpected end of file", "the archive is cut off: choose another copy"),
        ("could not uncompress data", "the archive is damaged: choose another copy"),
        ("could not find block ID", "the archive is damaged: choose another copy"),
        ("out of shared memory", "raise max_locks_per_transaction on the server"),
        ("server closed the connection", "the server stopped or crashed: look into its log, start it, and start again"),
        ("terminating connection", "the server ended the connection: look into its log, then start again"),
        ("the database system is shutting down", "start the server again, then start again"),
        ("connection to server", "look whether the server runs, then start again"),
        ("DROP ", "the dump was made with --clean and without --if-exists: restore it by hand"),
    ] {
        if said.contains(mark) {
            return advice.into();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_with_what_to_do() {
        for (said, wanted) in [
            (
                "pg_restore: error: could not execute query: ERROR:  role \"ghost\" does not exist\nCommand was: ALTER TABLE public.t OWNER TO ghost;\n",
                "CREATE ROLE \"ghost\";",
            ),
            (
                "psql:<stdin>:12: ERROR:  could not open extension control file \"/usr/share/postgresql/15/extension/postgis.control\": No such file or directory",
                "package of the extension postgis",
            ),
            ("pg_restore: error: could not read from input file: end of file", "cut off"),
            ("pg_restore: error: unsupported version (1.16) in file header", "install a newer postgresql-client"),
            ("psql:<stdin>:9: ERROR:  relation \"x\" already exists", "psql: exit 3: psql:<stdin>:9: ERROR:  relation"),
        ] {
            let lines: Vec<String> = said.lines().map(str::to_owned).collect();
            let told = tool("psql", "exit 3", &lines);
            assert!(told.contains(wanted), "{told}");
        }
        assert_eq!(tool("psql", "ended by signal 9", &[]), "psql: ended by signal 9, without a word");
    }
}
