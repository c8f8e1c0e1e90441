//! Certificates for servers on this machine.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// An authority that nobody trusts unless given its certificate.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A server's certificate and key, PEM.
#[derive(Debug, Clone)]
pub struct ServerCert {
    /// The chain.
    pub cert_pem: String,
    /// The private key.
    pub key_pem: String,
}

impl TestCa {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "mayday test authority");
        TestCa { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Its certificate, for `sslrootcert` and the like.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For `localhost`, 127.0.0.1 and ::1, valid now.
    pub fn localhost(&self) -> ServerCert {
        self.server(&["localhost", "127.0.0.1", "::1"], (2020, 1, 1), (2090, 1, 1))
    }

    /// For any names, from and until midnight UTC of the days given as (year, month, day).
    pub fn server(&self, names: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> ServerCert {
        let (params, key) = params(names, from, until);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerCert { cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// A certificate for localhost that is its own issuer.
pub fn self_signed() -> ServerCert {
    let (params, key) = params(&["localhost", "127.0.0.1"], (2020, 1, 1), (2090, 1, 1));
    ServerCert { cert_pem: params.self_signed(&key).unwrap().pem(), key_pem: key.serialize_pem() }
}

fn params(names: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "mayday test server");
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    (params, KeyPair::generate().unwrap())
}
