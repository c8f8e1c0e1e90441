//! Archives of every version, whole, cut and damaged.

use super::*;

fn int(out: &mut Vec<u8>, n: i64) {
    out.push(u8::from(n < 0));
    out.extend(&(n.unsigned_abs() as u32).to_le_bytes());
}

fn string(out: &mut Vec<u8>, s: Option<&str>) {
    match s {
        None => int(out, -1),
        Some(s) => {
            int(out, s.len() as i64);
            out.extend(s.as_bytes());
        }
    }
}

/// An archive of one version, written field by field as pg_dump of that version does.
fn archive(minor: u8, entries: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut out = b"PGDMP".to_vec();
    out.extend([1, minor, 0, 4, 8, 1]);
    if minor >= 15 {
        out.push(1);
    } else {
        int(&mut out, -1);
    }
    for n in [7, 14, 2, 20, 10, 126, 0] {
        int(&mut out, n);
    }
    for s in ["app", "15.18 (Debian)", "15.18"] {
        string(&mut out, Some(s));
    }
    int(&mut out, entries.len() as i64);
    for (i, (desc, tag, owner)) in entries.iter().enumerate() {
        int(&mut out, i as i64 + 1);
        int(&mut out, 0);
        for s in ["0", "0", tag, desc] {
            string(&mut out, Some(s));
        }
        if minor >= 11 {
            int(&mut out, 2);
        }
        for s in [Some("CREATE …;"), Some(""), None, Some("public"), None] {
            string(&mut out, s);
        }
        if minor >= 14 {
            string(&mut out, Some("heap"));
        }
        if minor >= 16 {
            int(&mut out, 114);
        }
        string(&mut out, Some(owner));
        string(&mut out, Some("false"));
        for dep in [Some("3"), Some("4"), None] {
            string(&mut out, dep);
        }
        out.push(2);
        out.extend([0; 8]);
    }
    out
}

#[test]
fn every_known_version_is_read() {
    for minor in 10..=16 {
        let bytes = archive(
            minor,
            &[
                ("DATABASE", "app", "boss"),
                ("TABLE", "users", "app_rw"),
                ("TABLE", "logs", "app_rw"),
                ("EXTENSION", "citext", ""),
            ],
        );
        let toc = read(bytes.as_slice()).unwrap_or_else(|e| panic!("1.{minor}: {e}"));
        assert_eq!((toc.head.database.as_str(), toc.head.server.as_str()), ("app", "15.18 (Debian)"));
        assert_eq!((toc.entries, toc.count("TABLE")), (4, 2));
        assert_eq!(toc.owners, BTreeSet::from(["app_rw".to_owned()]));
        assert_eq!(toc.extensions, BTreeSet::from(["citext".to_owned()]));
        assert_eq!(toc.database_owner.as_deref(), Some("boss"));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "1.{minor} cut at {cut}");
        }
    }
}

#[test]
fn newer_and_foreign_files_are_told_apart() {
    let mut bytes = archive(16, &[]);
    bytes[6] = 17;
    assert!(matches!(read(bytes.as_slice()), Err(TocError::Newer(Head { minor: 17, .. }))));
    assert!(matches!(read(&b"SELECT 1;"[..]), Err(TocError::Foreign)));
    assert!(matches!(read(&b""[..]), Err(TocError::Foreign)));
}

#[test]
fn which_tool_reads_what() {
    for (major, newest) in [(11, 13), (12, 14), (15, 14), (16, 15), (17, 16), (18, 16)] {
        assert_eq!(newest_read_by(major), newest);
    }
    assert_eq!(postgres_of(16), Some(17));
    assert!(newest_read_by(postgres_of(17).unwrap()) >= 17);
}

proptest::proptest! {
    #[test]
    fn damaged_bytes_never_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), good in proptest::bool::ANY) {
        if good {
            let mut front = archive(14, &[("TABLE", "t", "o")]);
            let n = front.len().min(bytes.len());
            for (at, b) in bytes.iter().take(n).enumerate().step_by(7) {
                if at > 11 { front[at] ^= b; }
            }
            bytes = front;
        }
        let _ = read(bytes.as_slice());
    }
}

#[test]
fn roles_that_are_granted_something_are_needed_too() {
    let granted =
        super::granted("REVOKE ALL ON TABLE public.t FROM PUBLIC;\nGRANT SELECT ON TABLE public.t TO reader;\n");
    assert_eq!(granted, BTreeSet::from(["reader".to_owned()]));
}
