//! The manifest beside a copy: made of it, compared before it is restored and with what came of it.

use mayday::domain::run::Checked;
use mayday::recovery::restore::manifest;
use serde_json::{Value, json};

use crate::kit::{Desk, check, restore_of, test_of};
use crate::pg_restore::{databases, dump, make_app};
use crate::redis::{desk as redis_desk, fill};
use crate::support::{Cockpit, Postgres, Redis};

/// Writes the manifest of a copy, as the command does.
fn write(desk: &Desk, name: &str) -> Value {
    let copy = desk.ctx.copies["full"].iter().find(|c| c.id == name).unwrap();
    let made = desk.block_on(manifest::make(copy)).unwrap();
    let text = made.write(name, "test", copy.taken_at);
    std::fs::write(desk.copy_path(&format!("{name}.manifest.json")), &text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn change(desk: &Desk, name: &str, change: impl FnOnce(&mut Value)) {
    let path = desk.copy_path(&format!("{name}.manifest.json"));
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn tables_and_rows_of_a_dump() {
    let server = Postgres::start();
    make_app(&server, "app");
    server.psql(
        "app",
        "create table \"Odd name\" (id int); insert into \"Odd name\" values (1), (2); create table empty (id int)",
    );
    for kind in ["custom", "directory", "tar", "sql", "sql.gz"] {
        let mut desk = Desk::postgres(&server, "app", &[]);
        let copy = dump(&server, &mut desk, "app", kind);
        let made = write(&desk, &copy);
        let tables = made["tables"].as_object().unwrap();
        assert_eq!(tables["public.users"], 500, "{kind}: {made:#}");
        assert_eq!((&tables["public.Odd name"], &tables["public.empty"]), (&json!(2), &json!(0)), "{kind}");
        assert_eq!(made["counted"], "copy");
        assert_eq!(made["sha256"].is_string(), kind != "directory", "{kind}: {made:#}");
        let planned = desk.plan(&test_of(&copy));
        let (result, said) = check(&planned.plan, "manifest");
        assert!(result == Checked::Passed && said.contains("compared when it is restored"), "{kind}: {said}");
        let said = desk.execute(planned).verified();
        assert!(said.contains("as the copy's manifest says"), "{kind}: {said}");
        assert_eq!(said.contains("its checksum is its manifest's"), kind != "directory", "{kind}: {said}");
    }
    // What was counted in the copy must be there.
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    write(&desk, &copy);
    change(&desk, &copy, |m| {
        m["tables"]["public.users"] = json!(501);
        m["tables"]["public.lost"] = json!(3);
    });
    let planned = desk.plan(&restore_of(&copy));
    let ended = desk.execute(planned);
    let why = ended.error();
    for wanted in [
        "public.users has 500 rows and should have 501",
        "public.lost is missing, with 3 rows",
        "the side copy was removed",
    ] {
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
    assert_eq!(databases(&server, "app"), ["app"]);
    // What was counted elsewhere is told, and nobody is kept from the data.
    change(&desk, &copy, |m| m["counted"] = json!("live"));
    let said = desk.run(&test_of(&copy)).verified();
    assert!(said.contains("2 differences from the copy's manifest") && said.contains("should have 501"), "{said}");
}

#[test]
fn a_copy_that_is_not_the_one_of_its_manifest() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    write(&desk, &copy);
    // One bit of the compressed data, the size as before.
    let path = desk.copy_path(&copy);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let planned = desk.plan(&restore_of(&copy));
    assert_eq!(check(&planned.plan, "manifest").0, Checked::Passed);
    let why = desk.execute(planned).error();
    assert!(why.contains("its checksum is") && why.contains("choose another copy"), "{why}");
    assert_eq!(databases(&server, "app"), ["app"]);
    // Of another size: known before anything is begun.
    bytes.push(0);
    std::fs::write(&path, &bytes).unwrap();
    let plan = desk.plan(&restore_of(&copy)).plan;
    let (result, said) = check(&plan, "manifest");
    assert!(result == Checked::Failed && said.contains("its manifest says"), "{said}");
    // A manifest that is none is said, and stops nothing.
    bytes.pop();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    std::fs::write(desk.copy_path(&format!("{copy}.manifest.json")), "{").unwrap();
    let planned = desk.plan(&test_of(&copy));
    let (result, said) = check(&planned.plan, "manifest");
    assert!(result == Checked::Warned && said.contains("no JSON"), "{said}");
    desk.execute(planned).verified();
}

#[test]
fn folders_and_redis() {
    let dir = crate::support::scratch();
    let live = dir.path().join("docs");
    std::fs::create_dir_all(live.join("a")).unwrap();
    std::fs::write(live.join("a/one"), "1").unwrap();
    let mut desk = Desk::folder(&live, 0, &[]);
    let tar = desk.copy_path("docs.tar.gz");
    crate::pitr::ran(std::process::Command::new("tar").arg("-czf").arg(&tar).arg("-C").arg(&live).arg("."));
    desk.list("docs.tar.gz");
    let made = write(&desk, "docs.tar.gz");
    let entries = made["entries"].as_u64().unwrap();
    assert!(entries >= 2 && made["sha256"].is_string(), "{made:#}");
    assert!(desk.run(&test_of("docs.tar.gz")).output().contains("its checksum is that of its manifest"));
    change(&desk, "docs.tar.gz", |m| m["entries"] = json!(entries + 1));
    let planned = desk.plan(&test_of("docs.tar.gz"));
    let why = desk.execute(planned).error();
    assert!(why.contains(&format!("its manifest says {}", entries + 1)), "{why}");

    let server = Redis::start(&[]);
    fill(&server, 100);
    let mut desk = redis_desk(&server);
    server.cli(&["save"]);
    std::fs::copy(server.dir().join("dump.rdb"), desk.copy_path("dump.rdb")).unwrap();
    desk.list("dump.rdb");
    write(&desk, "dump.rdb");
    let keys = 100 + 5 + 2;
    change(&desk, "dump.rdb", |m| m["keys"] = json!(keys));
    let said = desk.run(&test_of("dump.rdb")).verified();
    assert!(said.contains("as many as its manifest says") && said.contains("its checksum is its manifest's"), "{said}");
    change(&desk, "dump.rdb", |m| {
        m["keys"] = json!(keys + 9);
        m["sha256"] = json!("00".repeat(32));
    });
    let planned = desk.plan(&test_of("dump.rdb"));
    let why = desk.execute(planned).error();
    assert!(why.contains("it is damaged"), "{why}");
}

#[test]
fn the_command_writes_one_and_the_checks_read_it() {
    let server = Postgres::start();
    make_app(&server, "app");
    let mut desk = Desk::postgres(&server, "app", &[]);
    let copy = dump(&server, &mut desk, "app", "custom");
    let dir = desk.dir.path().join("copies");
    let shop = Cockpit::new(&format!(
        "[system]\nname = \"shop\"\n[[backup]]\nname = \"full\"\nrpo = \"26h\"\n\
         files = {{ path = \"{}\", pattern = \"*\", settle = \"10ms\" }}\n",
        dir.display()
    ));
    let made = shop.until_code(&["backups", "manifest", "full", "--json"], 0).json();
    let file = dir.join(format!("{copy}.manifest.json"));
    assert_eq!(made["file"].as_str(), file.to_str());
    assert_eq!(made["manifest"]["tables"]["public.users"], 500, "{made:#}");
    shop.run(&["backups", "manifest", "full"]).expect(3).says(&["--replace"]);
    shop.run(&["backups", "manifest", "full", "--replace"]).ok();
    // It is no copy itself.
    let copies = shop.run(&["backups", "copies", "full", "--json"]).ok().json();
    assert_eq!(copies.as_array().unwrap().len(), 1, "{copies:#}");
    let verified = shop.run(&["backups", "verify", "full", "--json"]).ok().json();
    assert!(
        verified["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["check"] == "checksum of the manifest" && c["good"] == true),
        "{verified:#}"
    );
    let mut value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    value["sha256"] = json!("ab".repeat(32));
    std::fs::write(&file, value.to_string()).unwrap();
    let verified = shop.run(&["backups", "verify", "full"]).expect(1);
    assert!(verified.out.contains("its checksum is not that of its manifest"), "{}", verified.out);
}
