use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn ca() -> CertifiedIssuer<'static, KeyPair> {
    ca_named("test authority")
}

fn ca_named(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(names: &[&str], years: (i32, i32), by: Option<&CertifiedIssuer<'static, KeyPair>>) -> Identity {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a\u{1b}[31mserver");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(ca) => params.signed_by(&key, ca).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Identity { chain: vec![certificate.der().clone()], key }
}

fn trusting(ca: &CertifiedIssuer<'static, KeyPair>) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add(ca.der().clone()).unwrap();
    Arc::new(store)
}

/// A real handshake over a loopback socket.
async fn handshake(identity: Identity, config: ClientConfig, name: &str) -> Result<(), String> {
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(socket).await {
            let _ = stream.write_all(b"hello").await;
            let _ = stream.shutdown().await;
        }
    });
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let result = match connected {
        Ok(mut stream) => {
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
            Ok(())
        }
        Err(e) => Err(e.to_string()),
    };
    serving.await.unwrap();
    result
}

#[tokio::test]
async fn verdicts_and_what_each_demand_lets_through() {
    let valid = (2020, 2090);
    let wrong = ChainVerdict::WrongName { presented: vec!["other.test".into(), "10.0.0.1".into()] };
    type Case = (&'static str, Box<dyn Fn() -> Identity>, ChainVerdict, [bool; 3]);
    let (ours, impostor, stranger) = (Arc::new(ca()), Arc::new(ca()), Arc::new(ca_named("someone else")));
    let make = |names: &'static [&'static str], years, by: Option<Arc<CertifiedIssuer<'static, KeyPair>>>| {
        Box::new(move || leaf(names, years, by.as_deref())) as Box<dyn Fn() -> Identity>
    };
    // Which of the demands (nothing, chain, chain and name) let the handshake through.
    let cases: Vec<Case> = vec![
        ("trusted", make(&["db.test"], valid, Some(ours.clone())), ChainVerdict::Trusted, [true, true, true]),
        ("wrong name", make(&["other.test", "10.0.0.1"], valid, Some(ours.clone())), wrong, [true, true, false]),
        ("expired", make(&["db.test"], (2019, 2020), Some(ours.clone())), ChainVerdict::Expired, [true, false, false]),
        (
            "early",
            make(&["db.test"], (2080, 2090), Some(ours.clone())),
            ChainVerdict::NotYetValid,
            [true, false, false],
        ),
        ("stranger", make(&["db.test"], valid, Some(stranger)), ChainVerdict::UntrustedIssuer, [true, false, false]),
        ("impostor", make(&["db.test"], valid, Some(impostor)), ChainVerdict::UntrustedIssuer, [true, false, false]),
        ("self-signed", make(&["db.test"], valid, None), ChainVerdict::SelfSigned, [true, false, false]),
    ];
    for (what, identity, verdict, passes) in cases {
        let demands = [Demand::Nothing, Demand::Chain, Demand::ChainAndName];
        for (demand, passes) in demands.into_iter().zip(passes) {
            let (config, recorder) = recording_config(trusting(&ours), demand, None).unwrap();
            assert!(recorder.seen().is_none());
            let shown = identity();
            let chain: Vec<Vec<u8>> = shown.chain.iter().map(|c| c.to_vec()).collect();
            let result = handshake(shown, config, "db.test").await;
            assert_eq!(result.is_ok(), passes, "{what}, {demand:?}: {result:?}");
            let seen = recorder.seen().unwrap();
            assert_eq!(seen.verdict, verdict, "{what}, {demand:?}");
            assert_eq!(seen.chain, chain, "{what}, {demand:?}");
        }
        let plain = client_config(trusting(&ours));
        assert_eq!(handshake(identity(), (*plain).clone(), "db.test").await.is_ok(), passes[2], "{what}, plain client");
    }
}

#[tokio::test]
async fn a_ca_used_as_the_servers_own_certificate_is_called_self_signed() {
    let home_made = ca();
    let key = PrivateKeyDer::try_from(home_made.key().serialize_der()).unwrap();
    let identity = Identity { chain: vec![home_made.der().clone()], key };
    let (config, recorder) = recording_config(trusting(&ca()), Demand::Nothing, None).unwrap();
    handshake(identity, config, "db.test").await.unwrap();
    assert_eq!(recorder.seen().unwrap().verdict, ChainVerdict::SelfSigned);
}

#[test]
fn facts_of_a_certificate() {
    let identity = leaf(&["db.test", "*.db.test", "10.0.0.1", "::1"], (2024, 2025), None);
    let facts = cert_days_left(&identity.chain[0]).unwrap();
    assert_eq!(facts.not_before_ms, 1_704_067_200_000);
    assert_eq!(facts.not_after_ms, 1_735_689_600_000);
    assert_eq!(facts.san, ["db.test", "*.db.test", "10.0.0.1", "::1"]);
    assert!(facts.subject.contains("CN=a"), "{}", facts.subject);
    assert!(!facts.subject.contains('\u{1b}') && !facts.issuer.contains('\u{1b}'), "{facts:?}");
    let day = 86_400_000;
    assert_eq!(facts.days_left(facts.not_after_ms - 3 * day - 5), 3);
    assert_eq!(facts.days_left(facts.not_after_ms + 5), -1);
    assert!(cert_days_left(b"no certificate").is_err());
    assert!(cert_days_left(&identity.chain[0][..100]).is_err());
}

#[test]
fn roots_take_extra_files_and_warn_about_bad_ones() {
    install_provider();
    install_provider();
    let dir = tempfile::tempdir().unwrap();
    let (good, bad, empty) = (dir.path().join("ca.pem"), dir.path().join("bad.pem"), dir.path().join("empty.pem"));
    std::fs::write(&good, ca().pem()).unwrap();
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let (plain, _) = roots(&[]);
    assert!(!plain.is_empty());
    let (more, warnings) = roots(&[good.clone(), bad.clone(), empty, dir.path().join("none.pem")]);
    assert_eq!(more.len(), plain.len() + 1);
    let named = |file: &str| warnings.iter().any(|w| w.contains(file));
    assert!(named("bad.pem") && named("empty.pem") && named("none.pem") && !named("ca.pem"), "{warnings:?}");
    assert_eq!(roots_only(&good).unwrap().len(), 1);
    assert!(roots_only(&bad).is_err());
    assert_eq!(default_roots().len(), plain.len());
}
