//! RabbitMQ: the difference first, the import, what it does not do, and back.

use mayday::config::{MaybeSecret, RabbitRestore, Restore, SecretRef};
use mayday::domain::run::{Checked, Risk, SideRole, Work};
use mayday::recovery::op::OpError;
use serde_json::{Value, json};

use crate::kit::{Desk, check, killed_at, restore_of, test_of};
use crate::support::rabbitmq::{PASSWORD, RabbitMq, USER, shared};

fn desk(server: &RabbitMq, vhost: Option<&str>) -> Desk {
    Desk::new(Restore::RabbitMq(Box::new(RabbitRestore {
        url: MaybeSecret::Plain(server.url()),
        user: USER.into(),
        password: Some(SecretRef::Literal(PASSWORD.into())),
        vhost: vhost.map(str::to_owned),
        extra_ca: Vec::new(),
        timeout: None,
    })))
}

/// A vhost with a queue, an exchange, a binding, a policy, a user with rights, and a message.
fn fill(server: &RabbitMq, vhost: &str) {
    server.ok("PUT", &format!("vhosts/{vhost}"), "{}");
    server.ok("PUT", &format!("permissions/{vhost}/{USER}"), r#"{"configure":".*","write":".*","read":".*"}"#);
    server.ok("PUT", &format!("queues/{vhost}/orders"), r#"{"durable":true,"arguments":{"x-max-length":5}}"#);
    server.ok("PUT", &format!("exchanges/{vhost}/events"), r#"{"type":"topic","durable":true}"#);
    server.ok("POST", &format!("bindings/{vhost}/e/events/q/orders"), r#"{"routing_key":"order.#"}"#);
    let policy = r#"{"pattern":"^o","definition":{"message-ttl":60000},"apply-to":"queues"}"#;
    server.ok("PUT", &format!("policies/{vhost}/ttl"), policy);
    server.ok("PUT", &format!("users/svc-{vhost}"), r#"{"password":"secret of the service","tags":"monitoring"}"#);
    server.ok("PUT", &format!("permissions/{vhost}/svc-{vhost}"), r#"{"configure":"","write":".*","read":".*"}"#);
    let message =
        r#"{"properties":{"delivery_mode":2},"routing_key":"orders","payload":"x","payload_encoding":"string"}"#;
    server.ok("POST", &format!("exchanges/{vhost}/amq.default/publish"), message);
}

fn export(server: &RabbitMq) -> Value {
    serde_json::from_str(&server.ok("GET", "definitions", "")).unwrap()
}

/// Of an export, what belongs to a vhost.
fn save(desk: &mut Desk, name: &str, definitions: &Value) -> String {
    std::fs::write(desk.copy_path(name), definitions.to_string()).unwrap();
    desk.list(name);
    name.to_owned()
}

#[test]
fn compared_imported_read_back_and_undone() {
    let server = shared();
    let vhost = "flow";
    fill(server, vhost);
    let mut desk = desk(server, Some(vhost));
    let copy = save(&mut desk, "definitions.json", &export(server));
    // Since then: a queue and a policy are gone, another policy and another queue came.
    server.ok("DELETE", &format!("queues/{vhost}/orders"), "");
    server.ok("DELETE", &format!("policies/{vhost}/ttl"), "");
    server.ok("PUT", &format!("permissions/{vhost}/svc-{vhost}"), r#"{"configure":"","write":"","read":""}"#);
    server.ok("PUT", &format!("queues/{vhost}/mine"), r#"{"durable":true}"#);

    let planned = desk.plan(&restore_of(&copy));
    assert_eq!(planned.plan.risk, Risk::Disruptive);
    let said = |name: &str| check(&planned.plan, name).1.to_owned();
    assert_eq!(said("queues"), "1 added (orders in flow), 1 only live, left as they are (mine in flow)");
    assert!(said("policies").starts_with("1 added (ttl in flow)"), "{}", said("policies"));
    assert!(said("bindings").starts_with("1 added (events → orders (order.#) in flow)"), "{}", said("bindings"));
    assert!(said("exchanges").starts_with("1 same"), "{}", said("exchanges"));
    assert!(
        said("permissions").contains("1 differing (svc-flow in flow: write , in the copy .*")
            || said("permissions").contains("1 differing (svc-flow in flow: ")
    );
    let effects = planned.plan.effects.join("\n");
    assert!(effects.contains("definitions hold no messages"), "{effects}");
    assert!(!serde_json::to_string(&planned.plan).unwrap().contains("password_hash"));
    let restored = desk.execute(planned);
    assert!(restored.verified().contains("ready to be imported"), "{}", restored.verified());
    assert!(
        export(server)["queues"].to_string().contains("mine")
            && !export(server)["queues"].to_string().contains("\"orders\",\"vhost\":\"flow\"")
    );

    let over = desk.run(&Work::CutOver { of: restored.id.clone() });
    let said = over.verified();
    assert!(said.contains("4 of it new or changed") && said.contains("none came back with this"), "{said}");
    let now = server.ok("GET", &format!("queues/{vhost}"), "");
    assert!(now.contains("\"orders\"") && now.contains("\"mine\""), "{now}");
    let rights = server.ok("GET", &format!("permissions/{vhost}/svc-{vhost}"), "");
    assert!(rights.contains(r#""read":".*""#), "{rights}");
    assert_eq!((over.side().role, over.open()), (SideRole::Before, None));

    let undone = desk.run(&Work::Undo { of: over.id });
    let said = undone.verified();
    assert!(said.contains("an import removes nothing") && said.contains("queues: orders in flow"), "{said}");
    let rights = server.ok("GET", &format!("permissions/{vhost}/svc-{vhost}"), "");
    assert!(rights.contains(r#""read":"""#), "{rights}");
    desk.run(&Work::Drop { of: undone.id }).verified();
    let left = std::fs::read_dir(desk.dir.path().join("state/rabbitmq")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_204_that_left_a_queue_as_it_was_is_contradicted_and_named() {
    let server = shared();
    let vhost = "args";
    fill(server, vhost);
    let mut desk = desk(server, Some(vhost));
    let mut wanted = export(server);
    for queue in wanted["queues"].as_array_mut().unwrap() {
        if queue["vhost"] == vhost {
            queue["arguments"] = json!({"x-max-length": 9});
        }
    }
    // The fact itself.
    let (status, _) = server.api("POST", "definitions", &wanted.to_string());
    assert_eq!(status, 204);
    assert!(server.ok("GET", &format!("queues/{vhost}/orders"), "").contains(r#""x-max-length":5"#));

    let copy = save(&mut desk, "definitions.json", &wanted);
    let planned = desk.plan(&restore_of(&copy));
    let (result, said) = check(&planned.plan, "queues");
    assert!(result == Checked::Warned && said.contains("leaves differing ones as they are"), "{said}");
    let restored = desk.execute(planned);
    restored.verified();
    let over = desk.run(&Work::CutOver { of: restored.id });
    let Err(OpError::Contradicted(why)) = &over.result else { panic!("{:?}", over.result) };
    assert!(why.contains("queue orders in args") && why.contains("\"x-max-length\":5"), "{why}");
    assert_eq!(over.open(), None);
}

#[test]
fn what_cannot_be_read_or_reached_says_why() {
    let server = shared();
    let mut desk = desk(server, None);
    let whole = export(server).to_string();
    for (name, text, words) in [
        ("cut.json", &whole[..whole.len() / 2], "cut off"),
        ("empty.json", "", "cut off"),
        ("other.json", r#"{"hello": 1}"#, "no export of definitions"),
        ("single.json", r#"{"queues": [{"name": "q"}]}"#, "set `vhost`"),
    ] {
        std::fs::write(desk.copy_path(name), text).unwrap();
        desk.list(name);
        let planned = desk.plan(&restore_of(name));
        let (result, said) = check(&planned.plan, "copy readable");
        assert!(result == Checked::Failed && said.contains(words), "{name}: {said}");
        assert!(desk.execute(planned).error().contains(words), "{name}");
    }
    let copy = save(&mut desk, "good.json", &export(server));
    let tested = desk.run(&test_of(&copy));
    assert!(tested.verified().contains("proven"), "{}", tested.verified());
    let mut with = |change: fn(&mut RabbitRestore)| {
        desk.configure(|r| match r {
            Restore::RabbitMq(r) => change(r),
            _ => panic!(),
        });
        let planned = desk.plan(&restore_of(&copy));
        let (result, said) = check(&planned.plan, "live server");
        assert_eq!(result, Checked::Failed);
        said.to_owned()
    };
    let said = with(|r| r.password = Some(SecretRef::Literal("wrong of mine".into())));
    assert!(said.contains("refused user guest or the password") && !said.contains("wrong of mine"), "{said}");
    server.ok("PUT", "users/plain", r#"{"password":"p","tags":"monitoring"}"#);
    let said = with(|r| {
        r.user = "plain".into();
        r.password = Some(SecretRef::Literal("p".into()));
    });
    assert!(said.contains("tag administrator"), "{said}");
    let said = with(|r| r.url = MaybeSecret::Plain("http://127.0.0.1:1".into()));
    assert!(said.contains("is the management plugin on?"), "{said}");
}

#[test]
fn an_import_that_is_refused_in_the_middle_is_taken_back_and_a_killed_one_completed() {
    let server = shared();
    let vhost = "half";
    fill(server, vhost);
    let mut desk = desk(server, Some(vhost));
    let mut wanted = export(server);
    let rights = json!({"user": format!("svc-{vhost}"), "vhost": vhost, "configure": "new", "write": "", "read": ""});
    wanted["permissions"].as_array_mut().unwrap().retain(|p| p["user"] != rights["user"] || p["vhost"] != vhost);
    wanted["permissions"].as_array_mut().unwrap().push(rights);
    let good = save(&mut desk, "good.json", &wanted);
    let mut bad = wanted.clone();
    let odd =
        json!({"vhost": vhost, "name": "odd", "pattern": "^x", "definition": {"no-such": 1}, "apply-to": "queues"});
    bad["policies"].as_array_mut().unwrap().push(odd);
    let bad = save(&mut desk, "bad.json", &bad);
    let configure = || {
        let said = server.ok("GET", &format!("permissions/{vhost}/svc-{vhost}"), "");
        serde_json::from_str::<Value>(&said).unwrap()["configure"].as_str().unwrap().to_owned()
    };

    let restored = desk.run(&restore_of(&bad));
    restored.verified();
    let over = desk.run(&Work::CutOver { of: restored.id });
    let error = over.error();
    assert!(
        error.contains("400") && (error.contains("nothing of it was taken") || error.contains("is as it was")),
        "{error}"
    );
    assert_eq!((configure(), over.open()), (String::new(), None));

    let restored = desk.run(&restore_of(&good));
    for (at, now) in [("compensation opened", ""), ("kept ", ""), ("the server answers", "new")] {
        let planned = desk.plan(&Work::CutOver { of: restored.id.clone() });
        let open = killed_at(&desk, &planned, at).expect("something to take back");
        let (ctx, sink) = desk.op_context(&planned);
        desk.op(&open.op, &open.args, &ctx).unwrap_or_else(|e| panic!("{at}: {e}"));
        assert_eq!(configure(), now, "{at}");
        assert_eq!(sink.told.lock().unwrap().sides.is_empty(), now.is_empty(), "{at}");
        assert_eq!(sink.told.lock().unwrap().open, None, "{at}");
    }
}
