//! Manifests beside copies, as the catalogue takes them.

use super::*;
use mayday::backup::verify::{Options, verify_path};
use mayday::domain::backup::Reading;

const AGE: Duration = Duration::from_secs(600);

fn manifest(path: &Path, text: &str) {
    let mut name = path.as_os_str().to_owned();
    name.push(".manifest.json");
    put(Path::new(&name), text.as_bytes(), AGE);
}

fn sha(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn checksum_and_size_are_compared_and_a_manifest_is_no_copy() {
    let dir = support::scratch();
    let secret = [b"age-encryption.org/v1\n".as_slice(), &noise(5000)].concat();
    let path = dir.path().join("app.dump.age");
    put(&path, &secret, AGE);
    let backup = set("full", dir.path(), "*");
    let read = |backup: &Backup| {
        let listed = look(backup).unwrap();
        assert_eq!(ids(&listed), ["app.dump.age"]);
        let seen = listed.copies.into_iter().next().unwrap();
        let answer = source_of(backup).read(&seen, &Beat::default());
        (seen.found, answer.unwrap())
    };
    // What is encrypted cannot be looked into.
    assert!(matches!(read(&backup).1, Ok(Reading::Cannot(why)) if why.contains("encrypted")));
    manifest(&path, &format!("{{\"sha256\": \"{}\", \"size\": {}}}", sha(&secret), secret.len()));
    let (found, answer) = read(&backup);
    assert_eq!((found.fault, found.reading), (None, Reading::NotYet), "it is read, though it cannot be decoded");
    assert!(
        matches!(answer, Ok(Reading::Whole(words)) if words.contains("that of its manifest") && words.contains("encrypted"))
    );
    manifest(&path, &format!("{{\"sha256\": \"{}\"}}", sha(b"other")));
    assert!(read(&backup).1.is_err_and(|why| why.contains("not that of its manifest")));
    manifest(&path, "{\"size\": 7}");
    assert!(read(&backup).0.fault.is_some_and(|why| why.contains("its manifest says 7")));
    // One that is none changes nothing.
    manifest(&path, "{");
    let (found, _) = read(&backup);
    assert_eq!(found.fault, None);
}

#[tokio::test]
async fn verifying_on_request_tells_of_it() {
    let dir = support::scratch();
    let path = dir.path().join("app.bin");
    let bytes = noise(5000);
    put(&path, &bytes, AGE);
    let before = verify_path(&path, &Options::default()).await;
    assert_eq!(before.good, None, "{before:?}");
    manifest(&path, &format!("{{\"sha256\": \"{}\"}}", sha(&bytes)));
    let good = verify_path(&path, &Options::default()).await;
    assert!(good.good == Some(true) && good.verdict.contains("byte for byte"), "{good:?}");
    put(&path, &noise(4999), AGE);
    let bad = verify_path(&path, &Options::default()).await;
    assert!(bad.good == Some(false) && bad.verdict.contains("checksum of the manifest"), "{bad:?}");
    manifest(&path, "no");
    let none = verify_path(&path, &Options::default()).await;
    assert!(
        none.good.is_none() && none.checks.iter().any(|c| c.check == "manifest" && c.words.contains("no JSON")),
        "{none:?}"
    );
}
